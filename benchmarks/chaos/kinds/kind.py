"""What makes a kind of fault."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.chaos.schedule import Fault
from benchmarks.rig.rig import Rig
from benchmarks.rig.worker_process import WorkerProcess
from distribute_challenge.errors import ClusterStartError

__all__ = ["END_WITHIN", "WORKER_LOST", "Effect", "Kind", "stand_in", "worker_of"]

END_WITHIN = 60.0  # Seconds for a worker that was told to end; its longest call takes one.

#: Three deaths end a call, also when they come from outside, one after the other.
WORKER_LOST = ("WorkerLostError",)

Effect = Callable[[Rig, Fault], AbstractContextManager[None]]


def _nothing() -> str:
    return ""


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Args:
        effect: Makes it begin, and end when its block is left.
        lasts: Seconds that it lasts at least and at most, when drawn at random.
        excuses: Names of the errors in which calls may end that were on their way.
        lacks: What this machine lacks for it, in words; empty if nothing.
    """

    effect: Effect
    lasts: tuple[float, float] = (0.0, 0.0)
    excuses: tuple[str, ...] = ()
    lacks: Callable[[], str] = _nothing


def worker_of(rig: Rig, fault: Fault) -> WorkerProcess:
    """The worker that a fault is about."""
    return rig.workers[fault.on % len(rig.workers)]


@contextmanager
def stand_in(worker: WorkerProcess, **how: Any) -> Iterator[None]:
    """In the block, another worker has the place and the name of one.

    Args:
        worker: That one; it runs again afterwards.
        how: How the other is started; see `WorkerProcess.start`.

    Raises:
        ClusterStartError: The other has ended by itself; with its last lines.
    """
    worker.end(within=END_WITHIN)
    worker.start(**how)
    worker.wait_until_ready()
    yield
    if worker.code is not None:
        raise ClusterStartError(
            f"worker {worker.name} has ended by itself (exit code {worker.code}) where it was to "
            f"go on; its log:\n{worker.log}"
        )
    worker.end(within=END_WITHIN)
    worker.start()
