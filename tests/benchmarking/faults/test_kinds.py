"""Each kind of fault, on a real rig: it begins, it ends, and calls give their values again."""

import pytest

from distribute_challenge.benchmarking.faults.calls import answer, work
from distribute_challenge.benchmarking.faults.kinds import KINDS
from distribute_challenge.benchmarking.faults.player import Player
from distribute_challenge.benchmarking.faults.rig import Rig
from distribute_challenge.benchmarking.faults.schedule import Fault
from distribute_challenge.errors import BrokerUnreachableError
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from tests.processes import PATIENCE, wait_until


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_that_has_been_leaves_a_cluster_that_works(
    rig: Rig, backend: CeleryExecutionBackend, kind: str
) -> None:
    told: list[object] = []
    (played,) = Player(rig, began=told.append, ended=told.append).play([Fault(kind, 0.0)])
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
