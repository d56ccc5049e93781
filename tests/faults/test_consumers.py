"""Workers with consumers die and freeze, Redis restarts, clients are killed: no item is lost."""

import time
from pathlib import Path

import pytest

from benchmarks.chaos.player import Player
from benchmarks.chaos.schedule import Fault
from benchmarks.rig.diary import note
from distribute_challenge import Queue, compute_this
from tests.faults.conftest import Make
from tests.processes import script, wait_until

pytestmark = pytest.mark.slow

LEASE = 1.0
ITEMS = 300

CLIENT = """
import time
from distribute_challenge import Queue, compute_this

@compute_this
def copy(item):
    time.sleep(0.01)
    return item

consumers = copy.consume(Queue("items"), results=Queue("done"))
print("consumes", flush=True)
consumers.join()
time.sleep(60)
"""


@compute_this
def work(item: int) -> int:
    time.sleep(0.02)
    return item


def taken(done: "Queue[int]") -> set[int]:
    """All results that are there now."""
    found: set[int] = set()
    while size := done.qsize():
        found |= set(done.get_many(size))
    return found


def test_each_item_is_done_though_workers_are_killed(make: Make) -> None:
    """Two times, so that no item can be a dead letter."""
    rig, backend = make(workers=2)
    items: Queue[int] = Queue("items", lease=LEASE, backend=backend)
    with work.consume(items, results=True) as consumers:
        items.put_many(range(ITEMS))
        wait_until(lambda: items.qsize() < ITEMS - 20)
        Player(rig).play([Fault("worker killed", at=1.5 * number, on=number) for number in (0, 1)])
        assert set(consumers.results()) == set(range(ITEMS))
    assert items.dead_letters() == []


def test_no_item_is_begun_twice_if_it_may_be_done_once(make: Make) -> None:
    rig, backend = make(workers=2)
    items: Queue[int] = Queue("items", lease=LEASE, backend=backend)
    diary = str(rig.diary.folder)

    @compute_this(at_most_once=True)
    def begin(item: int) -> int:
        note(diary, str(item))
        time.sleep(0.02)
        return item

    with begin.consume(items, results=True) as consumers:
        items.put_many(range(ITEMS))
        wait_until(lambda: items.qsize() < ITEMS - 20)
        Player(rig).play([Fault("worker killed", at=0.0)])
        found = list(consumers.results())
    begun = [entry.call for entry in rig.diary.all()]
    assert len(begun) == len(set(begun))
    lost = {item for item, _ in items.dead_letters()}
    assert len(found) == len(set(found))
    # Of an item whose worker died after its result was put, both may be there.
    assert {*found, *lost} == set(range(ITEMS))
    assert len(lost) <= 2


def test_items_of_a_frozen_worker_go_to_other_workers(make: Make) -> None:
    """It wakes later; what it did meanwhile counts once."""
    rig, backend = make(workers=2)
    items: Queue[int] = Queue("items", lease=LEASE, backend=backend)
    done: Queue[int] = Queue("done", backend=backend)
    with work.consume(items, results=done) as consumers:
        items.put_many(range(ITEMS))
        wait_until(lambda: items.qsize() < ITEMS - 20)
        frozen = rig.workers[0]
        frozen.freeze()
        try:
            consumers.join()
            assert taken(done) == set(range(ITEMS))
        finally:
            frozen.thaw()
        items.put(ITEMS)
        consumers.join()
    assert ITEMS in taken(done)
    assert items.dead_letters() == []


def test_no_item_is_lost_when_redis_restarts(make: Make) -> None:
    """It has an append-only file, which has all items; what was done in its last second is repeated."""
    rig, backend = make(workers=2)
    items: Queue[int] = Queue("items", lease=LEASE, backend=backend)
    done: Queue[int] = Queue("done", backend=backend)
    items.put_many(range(ITEMS))
    with rig.redis.connection() as connection:
        connection.bgrewriteaof()
        wait_until(lambda: connection.info("persistence")["aof_rewrite_in_progress"] == 0)
    with work.consume(items, results=done) as consumers:
        wait_until(lambda: items.qsize() < ITEMS - 20)
        rig.redis.kill()
        rig.redis.start()
        consumers.join()
    assert taken(done) == set(range(ITEMS))
    assert items.dead_letters() == []


def test_consumers_of_a_killed_client_end_and_others_go_on(make: Make, tmp_path: Path) -> None:
    """Its workers are free within seconds, and its items stay in the queue."""
    rig, backend = make(workers=1)
    items: Queue[int] = Queue("items", lease=LEASE, backend=backend)
    done: Queue[int] = Queue("done", backend=backend)
    items.put_many(range(ITEMS))
    with script(CLIENT, tmp_path / "client", **rig.client_environment) as client:
        client.wait_for("consumes")
        wait_until(lambda: done.qsize() > 20)
        client.process.kill()
        client.wait()
    with work.consume(items, results=done) as consumers:
        consumers.join()
    assert taken(done) == set(range(ITEMS))
