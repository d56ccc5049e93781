"""What a client knows of the workers: how many child processes serve each queue."""

from collections.abc import Callable, Mapping

from distribute_challenge.core.printable import printable
from distribute_challenge.errors import SecretError
from distribute_challenge.execution_backends.celery.broker import presence
from distribute_challenge.log import logger
from distribute_challenge.settings import masked

__all__ = ["WorkerCounts"]

UNKNOWN_SLOTS = 2  # Child processes to assume before the first worker shows its presence.
WARN_AFTER = 5.0  # Seconds without a worker before the user is warned,
WARN_EVERY = 60.0  # and between two such warnings.


class WorkerCounts:
    """The workers as last counted; the client's heartbeat updates it.

    Guarantees: only one thread calls `take`; any thread may call `slots`.

    Args:
        url: The broker, for the warning.
        expected: Child processes to assume until some are known; None: a few.
    """

    def __init__(self, url: str, expected: int | None) -> None:
        self._url = url
        self._expected = expected or UNKNOWN_SLOTS
        self._workers: list[presence.WorkerPresence] = []
        self._slots = 0  # Of all workers; each call of a graph asks for it.
        self._lonely_since: dict[str, float] = {}
        self._trusted_from = 0.0

    def slots(self, queue: str | None = None) -> int:
        """Count the child processes that serve a queue, or all; never 0, as workers may start."""
        known = self._slots if queue is None else presence.slots(self._workers, queue)
        return known or self._expected

    def serving(self, queue: str) -> int:
        """Count the child processes that are known to serve a queue."""
        return presence.slots(self._workers, queue)

    def take(
        self,
        workers: list[presence.WorkerPresence],
        waiting: Mapping[str, int],
        now: float,
        strangers: Callable[[], int] = lambda: 0,
    ) -> None:
        """Take in which workers are present now, and warn about queues that no worker serves.

        Args:
            workers: All workers.
            waiting: Unfinished calls by queue.
            now: Seconds of the monotonic clock.
            strangers: Counts the workers that have another secret.

        Raises:
            SecretError: Calls wait, and all workers have another secret.
        """
        self._workers, self._slots = workers, presence.slots(workers)
        for queue, calls in waiting.items():
            since = self._silent_since(queue, now) if calls else None
            if since is None:
                self._lonely_since.pop(queue, None)
            elif now - self._lonely_since.setdefault(queue, since) >= WARN_AFTER:
                self._warn(queue, calls, now, (lambda: 0) if workers else strangers)

    def distrust(self, until: float) -> None:
        """Ignore missing signs of life for a while, as workers may have been unable to give them.

        Args:
            until: Until when, in seconds of the monotonic clock.
        """
        self._trusted_from = max(self._trusted_from, until)

    def _silent_since(self, queue: str, now: float) -> float | None:
        """Tell since when no worker of a queue gave a sign of life; None: a worker is there.

        A worker that was killed still has its presence in Redis for a while.
        """
        heard = [now - worker.age for worker in self._workers if queue in worker.queues]
        if not heard:
            return None if now < self._trusted_from else now
        since = max(*heard, self._trusted_from)
        return since if now - since >= WARN_AFTER else None

    def _warn(self, queue: str, calls: int, now: float, strangers: Callable[[], int]) -> None:
        if count := strangers():
            raise SecretError(
                f"all workers at {masked(self._url)} ({count}) have another secret than this "
                f"client, and refuse its calls: set "
                f"DISTRIBUTE_CHALLENGE_SECRET to the same text here and there; or one side "
                f"encrypts, and the other lacks the package "
                f"for it: pip install cryptography"
            )
        self._lonely_since[queue] = now + WARN_EVERY - WARN_AFTER
        name = printable(queue)  # For a detached call, it comes from a record that is not signed.
        logger.warning(
            "no worker listens on the queue %r at %s, unfinished calls there: %d; start one with: "
            "distribute-challenge worker --queues %s",
            name,
            masked(self._url),
            calls,
            name,
        )
