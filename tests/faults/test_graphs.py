"""Workers and Redis are harmed while a graph runs: it ends in the right value, or the right error."""

import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from benchmarks.chaos.player import Player
from benchmarks.chaos.schedule import Fault
from benchmarks.rig.diary import note
from benchmarks.rig.rig import Rig
from distribute_challenge import Distributable, compute_this
from distribute_challenge.errors import TaskLostError, WorkerLostError
from tests.faults.conftest import Make
from tests.faults.promises import BUSY, MADE_GOOD, worker_of
from tests.processes import wait_until

pytestmark = pytest.mark.slow

LAYERS, WIDTH = 5, 8
CALLS = LAYERS * WIDTH + 1
SECONDS = 0.15  # Of each call.
LARGE = 5_000  # Copies with which a value does not travel in a message: 320 kB.


@compute_this
def join(diary: str, call: str, parts: Sequence[Any], copies: int = 1) -> str:
    """Take a while; give a value that no other call gives, and none with other parts."""
    note(diary, call)
    time.sleep(SECONDS)
    return joined(call, parts, copies)


@compute_this
def stay(diary: str, call: str, part: Any) -> str:
    """Give no value until the process is killed."""
    note(diary, call)
    time.sleep(600)
    return ""


def joined(call: str, parts: Sequence[str], copies: int) -> str:
    return hashlib.sha256("".join([call, *parts]).encode()).hexdigest() * copies


def graph(rig: Rig, copies: int = 1, **options: Any) -> tuple[Distributable[str], str]:
    """Make layers of calls, each of which needs two of the layer before, and one that needs the last.

    Returns:
        The last call, and its right value.
    """
    function = join.with_options(**options) if options else join
    diary = str(rig.diary.folder)
    calls: list[Any] = []
    values: list[str] = []
    for layer in range(LAYERS):
        names = [f"c-{layer}-{place}" for place in range(WIDTH)]
        below = [[(place + step) % WIDTH for step in (0, 1) if calls] for place in range(WIDTH)]
        calls, values = (
            [
                function(diary, name, [calls[place] for place in places], copies)
                for name, places in zip(names, below, strict=True)
            ],
            [
                joined(name, [values[place] for place in places], copies)
                for name, places in zip(names, below, strict=True)
            ],
        )
    return function(diary, "last", calls), joined("last", values, 1)


def runs(rig: Rig) -> Counter[str]:
    """How often each call has begun."""
    return Counter(entry.call for entry in rig.diary.all())


def wait_for_begin(rig: Rig, count: int) -> None:
    wait_until(lambda: len(runs(rig)) >= count, f"the begin of {count} calls")


@pytest.mark.deadline(200)
@pytest.mark.parametrize("copies", [1, LARGE], ids=["small values", "large values"])
def test_a_graph_survives_the_deaths_of_workers(make: Make, copies: int) -> None:
    rig, backend = make(workers=3)
    call, value = graph(rig, copies)
    future = call.submit(backend)
    for number, worker in enumerate(rig.workers, start=1):
        wait_for_begin(rig, number * CALLS // 4)
        worker.kill()
        worker.start()
    assert future.result(MADE_GOOD + CALLS * SECONDS + 5 * BUSY) == value
    assert len(runs(rig)) == CALLS


@pytest.mark.deadline(200)
@pytest.mark.parametrize("copies", [1, LARGE], ids=["small values", "large values"])
def test_a_graph_survives_restarts_of_redis(make: Make, copies: int) -> None:
    rig, backend = make(workers=2)
    processes = [(worker.pid, worker.children()) for worker in rig.workers]
    call, value = graph(rig, copies)
    future = call.submit(backend)
    for begun in (2, CALLS // 2):
        wait_for_begin(rig, begun)
        Player(rig).play([Fault("redis killed", at=0, lasts=1.0)])
    assert future.result(MADE_GOOD + CALLS * SECONDS + 5 * BUSY) == value
    assert [(worker.pid, worker.children()) for worker in rig.workers] == processes


@pytest.mark.deadline(200)
@pytest.mark.parametrize("copies", [1, LARGE], ids=["small values", "large values"])
def test_a_graph_survives_a_redis_that_is_emptied(make: Make, copies: int) -> None:
    rig, backend = make(workers=2)
    call, value = graph(rig, copies)
    future = call.submit(backend)
    wait_for_begin(rig, CALLS // 2)
    Player(rig).play([Fault("redis emptied", at=0)])
    assert future.result(MADE_GOOD + CALLS * SECONDS + 5 * BUSY) == value


def test_only_calls_that_need_a_lost_at_most_once_call_fail_with_it(
    make: Make,
) -> None:
    rig, backend = make(workers=2)
    diary = str(rig.diary.folder)
    first = join(diary, "first", []).submit(backend)
    once = stay.with_options(at_most_once=True)(diary, "once", first).submit(backend)
    above = join(diary, "above", [once]).submit(backend)
    beside = join(diary, "beside", [first]).submit(backend)
    wait_until(lambda: "once" in runs(rig), "the begin of the call that may run only once")
    (entry,) = (entry for entry in rig.diary.all() if entry.call == "once")
    killed = worker_of(rig, entry.pid)
    killed.kill()
    killed.start()
    error = above.exception(MADE_GOOD + 2 * BUSY)
    assert isinstance(error, WorkerLostError)
    assert str(once.exception(BUSY)) == str(error)
    assert "needed stay(" in error.__notes__[-1]
    assert beside.result(MADE_GOOD + 2 * BUSY) == joined("beside", [first.result()], 1)
    assert runs(rig)["once"] == 1
    assert "above" not in runs(rig)


@pytest.mark.deadline(200)
@pytest.mark.parametrize(
    "fault",
    [
        Fault("worker killed", at=0),
        Fault("redis killed", at=0, lasts=1.0),
        Fault("redis emptied", at=0),
    ],
    ids=lambda fault: fault.kind,
)
def test_no_call_of_a_graph_that_may_run_only_once_runs_twice(make: Make, fault: Fault) -> None:
    rig, backend = make(workers=2)
    call, value = graph(rig, at_most_once=True)
    future = call.submit(backend)
    wait_for_begin(rig, CALLS // 2)
    Player(rig).play([fault])
    error = future.exception(MADE_GOOD + CALLS * SECONDS + 5 * BUSY)
    if error is None:
        assert future.result() == value
    else:
        assert isinstance(error, TaskLostError | WorkerLostError)
    # It goes on, and what was called off is not begun later.
    assert join(str(rig.diary.folder), "later", []).submit(backend).result(60)
    assert [call for call, times in runs(rig).items() if times > 1] == []
