"""Leaves calls of another version than this worker's to workers that can run them.

A cluster is upgraded one worker after the other, and its queues hold calls of both versions
meanwhile. A worker only sees the version of a message once it has taken it. It puts a message that
it cannot run back to the front of the queue, and takes nothing from that queue for a while, so that
a worker that fits can take the message. If no such worker is present, the child process replies
with a problem, and the caller gets an error.
"""

from collections.abc import Callable, Sequence
from typing import Final

from redis import RedisError

from distribute_challenge.core import clock
from distribute_challenge.core.messages import Batch
from distribute_challenge.execution_backends.celery.broker.presence import WorkerPresence

__all__ = ["OtherVersions", "PutBackError"]

FIRST_PAUSE: Final = 0.25  # Seconds; each further pause is twice as long,
LONGEST_PAUSE: Final = 2.0  # up to this.


class PutBackError(Exception):
    """Raised by the gate for a message that is left to other workers; the transport catches it.

    Args:
        tag: The message's delivery tag.
    """

    def __init__(self, tag: str) -> None:
        super().__init__(tag)
        self.tag = tag


class OtherVersions:
    """Decides which batches one worker leaves to others, and which queues it pauses meanwhile.

    The worker's gate and its channel call it.

    Args:
        present: Asks Redis which workers are present.

    Guarantees: from a queue that holds only calls of other versions, this worker takes no more than
    one message in `LONGEST_PAUSE` seconds, once the pauses have grown.
    """

    def __init__(self, present: Callable[[], Sequence[WorkerPresence]]) -> None:
        self._present = present
        # By queue: length of the last pause, and when it ends.
        self._pauses: dict[str, tuple[float, float]] = {}

    def are_to_run(self, batch: Batch, queue: str) -> bool:
        """Decide whether other workers are to run a batch; if so, pause its queue.

        Args:
            batch: The batch, as this worker has taken it.
            queue: The queue that it came from.
        """
        if batch.runs_here():
            self._pauses.pop(queue, None)
            return False
        try:
            present = self._present()
        except RedisError:
            fit = True  # No reply could be sent, either: it is held until Redis is back.
        else:
            fit = any(
                queue in worker.queues and batch.runs_on(worker.python, worker.library)
                for worker in present
            )
        if fit:
            last, _ = self._pauses.get(queue, (0.0, 0.0))
            pause = min(2 * last, LONGEST_PAUSE) or FIRST_PAUSE
            self._pauses[queue] = pause, clock.monotonic() + pause
        return fit

    def left_alone(self) -> set[str]:
        """Return the queues that have a pause now."""
        if not self._pauses:
            return set()
        now = clock.monotonic()
        return {queue for queue, (_, end) in self._pauses.items() if now < end}
