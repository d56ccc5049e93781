"""A Redis that is killed and comes back, is emptied, or full."""

import pytest

from benchmarks.chaos.player import Played, Player
from benchmarks.chaos.schedule import Fault
from benchmarks.rig.calls import pause
from distribute_challenge.errors import BrokerFullError, TaskLostError
from tests.faults.conftest import Make
from tests.faults.promises import ANSWERED, BUSY, LONG, Load, names
from tests.processes import wait_until

pytestmark = pytest.mark.slow

# At times that fall into different phases of the calls, of the beats of workers, and of their looks
# for leases.
ONE_SECOND = [
    Fault("redis killed", at=3.3 * number, lasts=1.0) for number in range(20 if LONG else 5)
]
TEN_SECONDS = [
    Fault("redis killed", at=1.0 + 15.7 * number, lasts=10.0) for number in range(5 if LONG else 1)
]


@pytest.mark.deadline(250 if LONG else 150)
@pytest.mark.parametrize("schedule", [ONE_SECOND, TEN_SECONDS], ids=["1 s", "10 s"])
def test_calls_and_workers_survive_restarts_of_redis(make: Make, schedule: list[Fault]) -> None:
    rig, backend = make(workers=2)
    load = Load(rig, backend)
    load.submit(10)
    load.gives_right_values(within=60)
    processes = [(worker.pid, worker.children()) for worker in rig.workers]

    def put_calls_everywhere(fault: Fault) -> None:
        """Some wait, some run, some return."""
        load.submit(10, 0.02)
        load.submit(4, 0.6)

    def next_call_is_answered(played: Played) -> None:
        # Of the highest priority: behind those that wait, it would be a question of how many these
        # are.
        (future,) = load.submit(1, priority=9)
        future.result(ANSWERED + BUSY)

    Player(rig, began=put_calls_everywhere, ended=next_call_is_answered).play(schedule)
    load.gives_right_values(within=60)
    assert [(worker.pid, worker.children()) for worker in rig.workers] == processes


@pytest.mark.parametrize(
    "options", [{}, {"at_most_once": True}], ids=["at least once", "at most once"]
)
def test_no_call_hangs_when_redis_is_emptied(make: Make, options: dict[str, bool]) -> None:
    """Each is sent again, or fails with an error that says so."""
    rig, backend = make(workers=1)
    load = Load(rig, backend)
    load.submit(1, 3.0)
    load.wait_for_begin()
    load.submit(50, **options)
    load.wait_until_sent()
    Player(rig).play([Fault("redis emptied", at=0)])
    errors = [future.exception(10 + BUSY) for future in load.futures.values()]
    assert names(errors) <= {"NoneType", TaskLostError.__name__}
    if options:
        assert load.run_twice() == []
    # And it goes on.
    (future,) = load.submit(1)
    future.result(60)


def test_a_full_redis_refuses_new_calls_and_loses_no_accepted_ones(make: Make) -> None:
    rig, backend = make(workers=1)
    accepted = Load(rig, backend)
    accepted.submit(1, 2.0)
    accepted.wait_for_begin()
    accepted.submit(20, 0.01)
    accepted.wait_until_sent()
    refused: list[BaseException | None] = []
    rig.redis.fill()
    try:
        # In the caller's thread, or later.
        refused.append(pause(0).submit(backend).exception(60))
    except BrokerFullError as error:
        refused.append(error)
    with pytest.raises(BrokerFullError):
        pause(0).compute(backend, timeout=60)
    rig.redis.free()
    assert names(refused) == {BrokerFullError.__name__}
    accepted.gives_right_values(within=60)
    accepted.submit(5)
    accepted.gives_right_values(within=60)


def test_a_worker_that_is_started_while_redis_is_full_serves_when_it_is_not(make: Make) -> None:
    rig, backend = make(workers=1)
    (worker,) = rig.workers
    worker.kill()
    rig.redis.fill()
    worker.start()
    load = Load(rig, backend)
    # It is connected a moment before it meets the full Redis.
    wait_until(lambda: "Connected to redis" in worker.log, "a worker that begins")
    Player(rig).play([Fault("redis full", at=0, lasts=2)])
    load.submit(1)
    load.gives_right_values(within=60)
    assert worker.code is None
