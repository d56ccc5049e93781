"""Processes that put and take items of a queue die, and so does Redis."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.rig.redis_process import RedisProcess
from distribute_challenge import Queue
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.keys import queue_key
from distribute_challenge.execution_backends.item_queue import queue_id
from tests.processes import PATIENCE, script, wait_until

pytestmark = pytest.mark.slow

LEASE = 1.0

CONSUMER = """
from distribute_challenge import Queue

numbers, done = Queue("numbers"), Queue("done")
while (number := numbers.get()) >= 0:
    print("has", number, flush=True)
    done.put(number)
    numbers.task_done()
numbers.task_done()
"""

PRODUCER = """
from distribute_challenge import Queue

numbers = Queue("numbers")
print("puts", flush=True)
first = 0
while True:
    numbers.put_many(range(first, first + 10_000))
    first += 10_000
"""

HARMED = """
import os
from distribute_challenge import Queue

items, done = Queue("items"), Queue("done")
print("begins", flush=True)
while (item := items.get()) != "end":
    if item == "fatal":
        os._exit(7)
    done.put(item)
    items.task_done()
items.task_done()
"""

HOLDER = """
from distribute_challenge import Queue

numbers = Queue("numbers")
print(numbers.get_many(3), flush=True)
input()
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisProcess]:
    server = RedisProcess(tmp_path / "redis")
    server.start()
    yield server
    server.close()


@pytest.fixture
def backend(server: RedisProcess) -> Iterator[CeleryExecutionBackend]:
    with CeleryExecutionBackend(server.url) as backend:
        yield backend


def end_leases(server: RedisProcess, name: str) -> None:
    """Let the leases of a queue be over at once."""
    leases = queue_key("leases", queue_id(name))
    with connect(server.url) as connection:
        for holder in connection.zrange(leases, 0, -1):
            connection.zadd(leases, {holder: 1.0})


def taken(done: "Queue[int]") -> list[int]:
    """All items that are there now."""
    found: list[int] = []
    while size := done.qsize():
        found += done.get_many(size)
    return found


def test_each_item_of_killed_consumers_is_done(
    server: RedisProcess, backend: CeleryExecutionBackend, tmp_path: Path
) -> None:
    """Three of them are killed, one after the other, while they work."""
    numbers: Queue[int] = Queue("numbers", lease=LEASE, backend=backend)
    done: Queue[int] = Queue("done", backend=backend)
    numbers.put_many(range(500))
    for number in range(3):
        with script(CONSUMER, tmp_path / str(number), CELERY_BROKER_URL=server.url) as consumer:
            consumer.wait_for("has")
            consumer.process.kill()
    with script(CONSUMER, tmp_path / "last", CELERY_BROKER_URL=server.url) as last:
        wait_until(lambda: numbers.qsize() == 0, "all items are taken")
        wait_until(lambda: numbers.opened().state().unfinished == 0, "all are done")
        numbers.put(-1)
        assert last.wait() == 0
    assert set(taken(done)) == set(range(500))


def test_items_of_a_killed_process_are_delivered_again_to_a_waiting_get(
    server: RedisProcess, backend: CeleryExecutionBackend, tmp_path: Path
) -> None:
    numbers: Queue[int] = Queue("numbers", lease=LEASE, backend=backend)
    numbers.put_many([1, 2, 3])
    with script(HOLDER, tmp_path / "holder", CELERY_BROKER_URL=server.url) as holder:
        holder.wait_for("[1, 2, 3]")
        holder.process.kill()
        assert [numbers.get(timeout=PATIENCE) for _ in range(3)] == [1, 2, 3]


def test_an_item_that_kills_its_processes_becomes_a_dead_letter(
    server: RedisProcess, backend: CeleryExecutionBackend, tmp_path: Path
) -> None:
    """Three of them; the next process goes on with the items behind it."""
    items: Queue[str] = Queue("items", lease=LEASE, backend=backend)
    done: Queue[str] = Queue("done", backend=backend)
    items.put_many(["fatal", "a", "b", "end"])
    for number, code in enumerate([7, 7, 7, 0]):
        with script(HARMED, tmp_path / str(number), CELERY_BROKER_URL=server.url) as harmed:
            assert harmed.wait() == code, harmed.output
        end_leases(server, "items")
    assert done.get_many(5) == ["a", "b"]
    ((item, error),) = items.dead_letters()
    assert (item, "3 processes" in error) == ("fatal", True)
    items.join()


def test_a_producer_killed_in_put_many_leaves_whole_blocks(
    server: RedisProcess, backend: CeleryExecutionBackend, tmp_path: Path
) -> None:
    numbers: Queue[int] = Queue("numbers", backend=backend)
    with script(PRODUCER, tmp_path / "producer", CELERY_BROKER_URL=server.url) as producer:
        producer.wait_for("puts")
        wait_until(lambda: numbers.qsize() > 20_000)
        producer.process.kill()
        producer.wait()
    found = taken(numbers)
    assert found == list(range(len(found)))
    numbers.task_done(len(found))
    numbers.join()


def test_no_item_is_lost_when_redis_restarts(
    server: RedisProcess, backend: CeleryExecutionBackend, tmp_path: Path
) -> None:
    """It has an append-only file, whose last second was written: one consumer waits meanwhile."""
    numbers: Queue[int] = Queue("numbers", lease=LEASE, backend=backend)
    done: Queue[int] = Queue("done", backend=backend)
    with script(CONSUMER, tmp_path / "consumer", CELERY_BROKER_URL=server.url) as consumer:
        numbers.put(0)
        consumer.wait_for("has 0")
        numbers.put_many(range(1, 500))
        wait_until(lambda: done.qsize() > 50)
        server.kill()
        server.start()
        numbers.put(500)
        numbers.join()
        numbers.put(-1)
        assert consumer.wait() == 0
    assert set(taken(done)) == set(range(501))
