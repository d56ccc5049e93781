"""Measure how long a broker has not served a process, and say when that is too long.

Calls wait for a broker that is being restarted. They must not wait for ever for a broker that does
not come back.
"""

from distribute_challenge import settings
from distribute_challenge.core import clock
from distribute_challenge.errors import SystemFailureError
from distribute_challenge.execution_backends.celery.broker.connection import translate

__all__ = ["Absence"]


class Absence:
    """How long one broker has been absent; each thread that waits for a broker has its own.

    Args:
        url: The broker.

    Guarantees: none for threads.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._longest = settings.broker_timeout()
        self._since: float | None = None

    def end(self) -> None:
        """Record that the broker has answered."""
        self._since = None

    def note(self, error: Exception) -> SystemFailureError | None:
        """Record that the broker has not answered, or has refused to serve.

        Args:
            error: The exception that redis-py raised.

        Returns:
            The error for the calls that wait for the broker; None while they go on waiting.
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
