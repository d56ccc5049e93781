"""Workers that are ended politely, all of them in turn or process by process: nothing is lost, and nothing runs twice."""

import pytest

from distribute_challenge.benchmarking.faults.player import Player
from distribute_challenge.benchmarking.faults.schedule import Fault
from tests.faults.conftest import Make
from tests.faults.promises import Load

ROLLING = [Fault("all workers restarted", at=1.0)]
RECYCLING = {"calls": ("--max-calls", "10"), "memory": ("--max-memory", "1M")}


@pytest.mark.deadline(120)
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


@pytest.mark.parametrize("limit", RECYCLING, ids=RECYCLING)
def test_recycling_of_processes_loses_nothing_and_runs_nothing_twice(make: Make, limit: str) -> None:
    rig, backend = make(workers=1, processes=2, options=RECYCLING[limit])
    load = Load(rig, backend)
    before = rig.workers[0].pid
    load.submit(100, 0.01)
    load.submit(20, 0.1)
    load.gives_right_values(within=50)
    assert load.run_twice() == []
    assert len({entries[0].pid for entries in load.runs().values()}) > 2
    assert rig.workers[0].pid == before
    assert rig.workers[0].code is None
