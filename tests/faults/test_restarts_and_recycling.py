"""Workers end politely, in turn or process by process: nothing is lost or runs twice."""

import os

import pytest

from benchmarks.chaos.player import Player
from benchmarks.chaos.schedule import Fault
from distribute_challenge import compute_this
from tests.faults.conftest import Make
from tests.faults.promises import Load

pytestmark = pytest.mark.slow

hoarded: list[bytes] = []


@compute_this
def hoard(number: int, size: int) -> tuple[int, int]:
    """Take memory, and keep it, as functions do that leak; the process."""
    hoarded.append(os.urandom(1) * size)
    return number, os.getpid()


ROLLING = [Fault("all workers restarted", at=1.0)]


@pytest.mark.deadline(200)
def test_a_rolling_restart_under_load_loses_nothing_and_runs_nothing_twice(make: Make) -> None:
    rig, backend = make(workers=3)
    load = Load(rig, backend)
    before = [worker.pid for worker in rig.workers]
    load.submit(600, 0.01)
    load.submit(60, 0.2)
    load.submit(10, 1.0)
    load.wait_for_begin()
    Player(rig).play(ROLLING)
    # What was left at the end of the restart goes to those that are new.
    load.submit(60, 0.05)
    load.gives_right_values(within=60)
    assert load.run_twice() == []
    assert not set(before) & {worker.pid for worker in rig.workers}


def test_processes_replaced_after_some_calls_lose_none_and_run_none_twice(make: Make) -> None:
    rig, backend = make(workers=1, processes=2, options=("--max-calls", "10"))
    load = Load(rig, backend)
    before = rig.workers[0].pid
    load.submit(100, 0.01)
    load.submit(20, 0.1)
    load.gives_right_values(within=50)
    assert load.run_twice() == []
    assert len({entries[0].pid for entries in load.runs().values()}) > 2
    assert rig.workers[0].pid == before
    assert rig.workers[0].code is None


def test_processes_that_hold_too_much_memory_are_replaced_between_calls(make: Make) -> None:
    rig, backend = make(workers=1, processes=2, options=("--max-memory", "150M"))
    before = rig.workers[0].pid
    futures = [hoard(number, 20_000_000).submit(backend) for number in range(40)]
    results = [future.result(50) for future in futures]
    assert [number for number, _ in results] == list(range(40))
    assert len({pid for _, pid in results}) > 4
    assert rig.workers[0].pid == before
    assert rig.workers[0].code is None
