"""Workers that are killed, frozen, and restarted."""

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.chaos.kinds.kind import (
    END_WITHIN,
    WORKER_LOST,
    Kind,
    worker_of,
)
from benchmarks.chaos.schedule import Fault
from benchmarks.rig.rig import Rig

__all__ = ["WORKERS"]


@contextmanager
def worker_killed(rig: Rig, fault: Fault) -> Iterator[None]:
    """All processes of a worker at once, as when its machine or its container goes."""
    worker = worker_of(rig, fault)
    worker.kill()
    yield
    worker.start()


@contextmanager
def all_workers_killed(rig: Rig, fault: Fault) -> Iterator[None]:
    for worker in rig.workers:
        worker.kill()
    yield
    for worker in rig.workers:
        worker.start()


@contextmanager
def process_killed(rig: Rig, fault: Fault) -> Iterator[None]:
    """A process that runs calls, as the kernel does that is short of memory."""
    worker_of(rig, fault).kill_child()
    yield


@contextmanager
def worker_frozen(rig: Rig, fault: Fault) -> Iterator[None]:
    worker = worker_of(rig, fault)
    worker.freeze()
    yield
    worker.thaw()


@contextmanager
def worker_ended(rig: Rig, fault: Fault) -> Iterator[None]:
    """As in a rolling restart: it finishes what it runs, and another takes its place."""
    worker = worker_of(rig, fault)
    worker.end(within=END_WITHIN)
    yield
    worker.start()


@contextmanager
def all_workers_restarted(rig: Rig, fault: Fault) -> Iterator[None]:
    """One after the other, each when the one before is back."""
    for worker in rig.workers:
        worker.end(within=END_WITHIN)
        worker.start()
        worker.wait_until_ready()
    yield


WORKERS = {
    "worker killed": Kind(worker_killed, (0.0, 3.0), WORKER_LOST),
    "all workers killed": Kind(all_workers_killed, (0.0, 3.0), WORKER_LOST),
    "process killed": Kind(process_killed, excuses=WORKER_LOST),
    "worker frozen": Kind(worker_frozen, (1.0, 15.0), WORKER_LOST),
    "worker ended": Kind(worker_ended, (0.0, 2.0)),
    "all workers restarted": Kind(all_workers_restarted),
}
