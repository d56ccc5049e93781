"""A worker whose output cannot be written, or whose shared memory is full."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.chaos.kinds.kind import (
    WORKER_LOST,
    Kind,
    stand_in,
    worker_of,
)
from benchmarks.chaos.schedule import Fault
from benchmarks.rig.rig import Rig
from benchmarks.rig.small_disk import SmallDisk, lacks_small_disks
from benchmarks.rig.worker_process import WorkerProcess
from distribute_challenge.benchmarking.clusters.child_process import ChildProcess
from distribute_challenge.settings import SHARED_MEMORY

__all__ = ["DISKS"]

COPIED_WITHIN = 10.0  # Seconds until a pipe's reader has come to the end.
TO_PIPE = ("sh", "-c", 'exec "$@" >"$0" 2>&1')  # Followed by the pipe, and by the command.


@contextmanager
def log_reader_gone(rig: Rig, fault: Fault) -> Iterator[None]:
    """As behind ``worker 2>&1 | head``; another reader comes at the end."""
    worker = worker_of(rig, fault)
    pipe = rig.folder / f"{worker.name}.pipe"
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)

    def reader() -> ChildProcess:
        return ChildProcess(["cat", str(pipe)], output=worker.log_file, environment={})

    first = reader()
    with stand_in(worker, prefix=[*TO_PIPE, str(pipe)]):
        first.end()
        yield
        second = reader()
    second.wait(within=COPIED_WITHIN)


@contextmanager
def log_disk_full(rig: Rig, fault: Fault) -> Iterator[None]:
    """The disk of its log and of its temporary files."""
    folder = rig.folder / "disk"
    folder.mkdir(exist_ok=True)
    disk = SmallDisk(folder)
    with _filled(worker_of(rig, fault), disk, prefix=disk.prefix_with_output, log=disk.output):
        yield


@contextmanager
def shared_memory_full(rig: Rig, fault: Fault) -> Iterator[None]:
    """By others, as far as a worker sees."""
    disk = SmallDisk(Path(SHARED_MEMORY))
    with _filled(worker_of(rig, fault), disk, prefix=disk.prefix):
        yield


@contextmanager
def _filled(worker: WorkerProcess, disk: SmallDisk, **how: Any) -> Iterator[None]:
    with stand_in(worker, **how):
        disk.fill(worker.pid)
        # A process that dies, and one that takes its place, both need some room.
        worker.kill_child()
        yield
        if worker.code is None:  # Else the disk has gone with it.
            disk.free(worker.pid)


DISKS = {
    "log reader gone": Kind(log_reader_gone, (2.0, 10.0)),
    "log disk full": Kind(log_disk_full, (2.0, 10.0), WORKER_LOST, lacks_small_disks),
    "shared memory full": Kind(shared_memory_full, (2.0, 10.0), WORKER_LOST, lacks_small_disks),
}
