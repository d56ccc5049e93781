"""How long a broker has not served a process, and when that is too long.

A broker that is restarted comes back, and calls wait for it. One that is gone for good does not,
and no call may wait for ever.
"""

from distribute_challenge import settings
from distribute_challenge.core import clock
from distribute_challenge.errors import SystemFailureError
from distribute_challenge.execution_backends.celery.broker.connection import translate

__all__ = ["Absence"]


class Absence:
    """Of one broker, as one thread sees it.

    Args:
        url: The broker.

    Guarantees: none for threads.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._longest = settings.broker_timeout()
        self._since: float | None = None

    def end(self) -> None:
        """The broker has answered."""
        self._since = None

    def note(self, error: Exception) -> SystemFailureError | None:
        """The broker has not answered, or has refused to serve.

        Args:
            error: What redis-py raised.

        Returns:
            What calls that wait for it fail with; None as long as they go on waiting.
        """
        now = clock.monotonic()
        if self._since is None:
            self._since = now
        if now - self._since < self._longest:
            return None
        own = translate(self._url, error)
        return type(own)(
            f"{own}. It has been so for {now - self._since:.0f} s, and calls wait for "
            f"{self._longest:g} s "
            f"({settings.BROKER_TIMEOUT_VARIABLE}); those that were sent before may have run, or "
            f"run later"
        )
