"""Whole workers die, freeze or seem dead: others run what they held, and it counts once."""

import os
import signal
import time

import pytest

from benchmarks.chaos.player import Player
from benchmarks.chaos.schedule import Fault
from benchmarks.rig.diary import note
from distribute_challenge import compute_this
from tests.faults.conftest import Make
from tests.faults.promises import BUSY, LONG, MADE_GOOD, Load, queued, unacked, worker_of
from tests.processes import wait_until

pytestmark = pytest.mark.slow

LEASE = 3  # Seconds: short, where the test has to outlast it.

KILLED = [Fault("worker killed", at=2.0 * number, on=number) for number in range(1, 6)]
KILLED_FOR_LONG = [
    Fault("worker killed", at=2.0 * number, lasts=1.9, on=number) for number in range(1, 6)
]


@compute_this
def process_of(diary: str, call: str, seconds: float) -> int:
    note(diary, call)
    time.sleep(seconds)
    return os.getpid()


@pytest.mark.deadline(150)
@pytest.mark.parametrize(
    "schedule",
    [KILLED, KILLED_FOR_LONG] if LONG else [KILLED],
    ids=["back at once", "back late"][: 1 + LONG],
)
def test_two_hundred_calls_survive_five_deaths_of_whole_workers(
    make: Make, schedule: list[Fault]
) -> None:
    rig, backend = make(workers=4)
    load = Load(rig, backend)
    load.submit(200, 0.2)
    load.wait_for_begin()
    played = Player(rig).play(schedule)
    load.gives_right_values(within=MADE_GOOD + 200 * 0.2 / 4 + BUSY)
    deaths = [each.begun for each in played]
    runs = load.runs().values()
    # A call that is sent again waits its turn behind those that have not begun.
    turn = max(first.time for first, *_ in runs)
    for first, second, *_ in (entries for entries in runs if len(entries) > 1):
        # It ran when its worker died, or was sent again for a neighbour's sake.
        death = next(each for each in deaths if each >= first.time)
        assert second.time < max(death + MADE_GOOD, turn) + BUSY


def test_a_call_taken_and_not_begun_by_a_dead_worker_runs_elsewhere(make: Make) -> None:
    """The child is stopped: the main process has the message, and no process runs the call."""
    rig, backend = make(workers=1)
    load = Load(rig, backend)
    load.submit(1)
    load.gives_right_values(within=60)
    (worker,) = rig.workers
    (child,) = worker.children()
    os.kill(child, signal.SIGSTOP)
    load.submit(1)
    wait_until(lambda: unacked(rig) == 1, "a worker that has the message")
    assert queued(rig) == 0
    worker.kill()
    rig.add_worker()
    load.gives_right_values(within=MADE_GOOD + BUSY)
    assert load.run_twice() == []


def test_a_frozen_workers_call_runs_elsewhere_and_its_late_result_is_dropped(make: Make) -> None:
    rig, backend = make(workers=2, lease=LEASE)
    load = Load(rig, backend)
    resolved: list[int] = []
    future = process_of(str(rig.diary.folder), "c-frozen", 1.0).submit(backend)
    future.add_done_callback(lambda done: resolved.append(done.result()))
    (first,) = load.wait_for_begin()
    frozen = worker_of(rig, first.pid)
    frozen.freeze()
    elsewhere = future.result(LEASE + MADE_GOOD + BUSY)
    assert elsewhere != first.pid
    frozen.thaw()
    # It is a worker again, and has said what it had to say, when it runs something new.
    deadline = time.monotonic() + 60
    number = 0
    while first.pid != process_of(str(rig.diary.folder), f"c-{number}", 0.05).submit(
        backend
    ).result(60):
        assert time.monotonic() < deadline, (
            "the worker that was frozen does not take calls any more"
        )
        number += 1
    assert resolved == [elsewhere]
    assert future.result() == elsewhere
    assert [entry.pid for entry in load.runs()["c-frozen"]] == [first.pid, elsewhere]


@pytest.mark.deadline(200 if LONG else 150)
def test_a_call_longer_than_every_timeout_runs_once(make: Make) -> None:
    """Another worker looks for leases that are over meanwhile."""
    rig, backend = make(workers=2, lease=LEASE)
    load = Load(rig, backend)
    seconds = 60.0 if LONG else 3.0 * LEASE
    load.submit(1, seconds)
    load.gives_right_values(within=seconds + BUSY + 5)
    assert len(load.runs()["c-0"]) == 1
