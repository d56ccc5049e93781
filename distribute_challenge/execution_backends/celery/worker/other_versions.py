"""Calls of another version than this worker's: they are left to workers that can run them.

A cluster is upgraded one worker after the other, and its queues hold calls of both versions
meanwhile. A worker cannot see of which version a message is before it has taken it. What it cannot
run it puts back, to be taken next, and takes nothing from that queue for a while: the next taker
may be one that fits. Where none is present, the child answers, and the caller gets an error.
"""

from collections.abc import Callable, Sequence
from typing import Final

from redis import RedisError

from distribute_challenge.core import clock
from distribute_challenge.core.messages import Batch
from distribute_challenge.execution_backends.celery.broker.presence import WorkerPresence

__all__ = ["OtherVersions", "PutBackError"]

FIRST_PAUSE: Final = 0.25  # Seconds; each further one is twice as long,
LONGEST_PAUSE: Final = 2.0  # up to this.


class PutBackError(Exception):
    """A message that other workers are to take.

    Args:
        tag: Its delivery tag.
    """

    def __init__(self, tag: str) -> None:
        super().__init__(tag)
        self.tag = tag


class OtherVersions:
    """Decides for one worker what it leaves to others, and which queues it leaves alone meanwhile.

    Args:
        present: Asks Redis which workers are present.

    Guarantees: a queue where only calls of other versions lie costs this worker one message in
    `LONGEST_PAUSE` seconds.
    """

    def __init__(self, present: Callable[[], Sequence[WorkerPresence]]) -> None:
        self._present = present
        self._pauses: dict[
            str, tuple[float, float]
        ] = {}  # By queue: how long the last one was, and when it ends.

    def are_to_run(self, batch: Batch, queue: str) -> bool:
        """Whether another worker is to run a batch that has been taken; then its queue has a pause.

        Args:
            batch: As taken.
            queue: Where it lay.
        """
        if batch.runs_here():
            self._pauses.pop(queue, None)
            return False
        try:
            present = self._present()
        except RedisError:
            fit = True  # It cannot be answered now, either: it is held until Redis is back.
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
        """The queues that have a pause now."""
        if not self._pauses:
            return set()
        now = clock.monotonic()
        return {queue for queue, (_, end) in self._pauses.items() if now < end}
