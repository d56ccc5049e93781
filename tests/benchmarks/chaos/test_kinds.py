"""Each kind of fault, on a real rig: it begins, it ends, and calls give their values again."""

import os
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from benchmarks.chaos.kinds import KINDS, clocks
from benchmarks.chaos.kinds.clients import has_its_values
from benchmarks.chaos.player import Player
from benchmarks.chaos.schedule import Fault
from benchmarks.rig.calls import answer, work
from benchmarks.rig.other_version import OTHER_VERSION
from benchmarks.rig.rig import Rig
from distribute_challenge import compute_this
from distribute_challenge.errors import BrokerUnreachableError, ClusterStartError
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker import presence
from tests.processes import PATIENCE, wait_until


@compute_this
def clock_ahead(now: float) -> float:
    return time.time() - now


# Blocks that may be free of a full disk: those of files of the process that dies when it is full.
LEFT = 16


@compute_this
def free(folder: str) -> int:
    return os.statvfs(folder).f_bavail


def clock_is_set(rig: Rig, backend: CeleryExecutionBackend) -> None:
    assert abs(clock_ahead(time.time()).compute(backend, timeout=PATIENCE) - clocks.JUMPS[0]) < 60


def memory_is_full(rig: Rig, backend: CeleryExecutionBackend) -> None:
    assert free("/dev/shm").compute(backend, timeout=PATIENCE) <= LEFT


def disk_is_full(rig: Rig, backend: CeleryExecutionBackend) -> None:
    assert free(str(rig.folder / "disk")).compute(backend, timeout=PATIENCE) <= LEFT


def log_stands_still(rig: Rig, backend: CeleryExecutionBackend) -> None:
    (worker,) = rig.workers
    before = worker.log
    call = work(str(rig.diary.folder), "unheard", 0.0, "value")
    assert call.compute(backend, timeout=PATIENCE) == answer("unheard")
    assert worker.log == before


def there_are_two_versions(rig: Rig, backend: CeleryExecutionBackend) -> None:
    with rig.redis.connection() as connection:
        assert OTHER_VERSION in {worker.library for worker in presence.workers(connection)}


SEEN: dict[str, Callable[[Rig, CeleryExecutionBackend], None]] = {
    "worker clock set": clock_is_set,
    "shared memory full": memory_is_full,
    "log disk full": disk_is_full,
    "log reader gone": log_stands_still,
    "other version joins": there_are_two_versions,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_cluster_works_after_each_kind_of_fault(
    rig: Rig, backend: CeleryExecutionBackend, kind: str
) -> None:
    if lack := KINDS[kind].lacks():
        pytest.skip(f"this machine lacks {lack}")
    told: list[object] = []

    def look(seconds: float) -> None:
        if told and kind in SEEN:
            SEEN[kind](rig, backend)

    (played,) = Player(rig, wait=look, began=told.append, ended=told.append).play(
        [Fault(kind, 0.0)]
    )
    assert told == [played.fault, played]
    assert played.begun <= played.ended
    (worker,) = rig.workers
    worker.wait_until_ready()
    assert worker.code is None
    assert rig.redis.answers()

    def works() -> bool:
        try:
            return work(str(rig.diary.folder), "c", 0.0, "value").compute(
                backend, timeout=PATIENCE
            ) == answer("c")
        except BrokerUnreachableError:
            return False  # What the fault has cut is found out by its use.

    wait_until(works, "a value")


@pytest.mark.slow
def test_a_worker_that_ends_during_a_fault_it_should_survive_is_an_error(rig: Rig) -> None:
    kind = "shared memory full"
    if lack := KINDS[kind].lacks():
        pytest.skip(f"this machine lacks {lack}")
    (worker,) = rig.workers
    began: list[Fault] = []

    def end(seconds: float) -> None:
        if began:
            worker.kill()

    with pytest.raises(ClusterStartError, match=r"w1 has ended by itself \(exit code -9\) where"):
        Player(rig, wait=end, began=began.append).play([Fault(kind, 0.0)])
    worker.start()
    worker.wait_until_ready()


def test_another_client_whose_calls_fail_is_an_error() -> None:
    client = SimpleNamespace(wait=lambda within: 1, output="QueueTimeoutError")
    with pytest.raises(
        ClusterStartError, match=r"(?s)another client ended with exit code 1.*QueueTimeoutError"
    ):
        has_its_values(client)  # type: ignore[arg-type]
