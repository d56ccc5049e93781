"""How a client reads items of its queues: those that cannot be loaded, and those that are forged."""

import os
import threading
from typing import Any

import pytest

from distribute_challenge import Queue
from distribute_challenge.core.item_block import ItemBlock
from distribute_challenge.errors import (
    SerialisationError,
    ValueLostError,
    VersionMismatchError,
)
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker.connection import Broker
from distribute_challenge.execution_backends.celery.broker.queues import QueueRecord
from distribute_challenge.execution_backends.celery.client.item_blocks import MOST_KEPT
from tests.execution_backends.celery.client.item_queues import sealed, shared
from tests.processes import PATIENCE, wait_until

pytestmark = pytest.mark.celery

Engine = CeleryExecutionBackend


class Unloadable:
    def __reduce__(self) -> Any:
        return fail, ()


def fail() -> None:
    raise LookupError("not here")


def test_items_before_one_that_cannot_be_loaded_are_returned(backend: Engine) -> None:
    """Those behind it stay in the queue. Then it is taken alone, and can be acknowledged."""
    items: Queue[Any] = Queue(backend=backend)
    items.put_many([1, 2, Unloadable(), 3])
    assert items.get_many(5) == [1, 2]
    with pytest.raises(SerialisationError, match="cannot be unpickled here: LookupError: not here"):
        items.get_many(5)
    assert items.qsize() == 1
    items.task_done(3)
    assert items.get_many(5) == [3]
    items.task_done()
    items.join()


def test_an_item_that_cannot_be_unpickled_is_left_to_the_next_get(backend: Engine) -> None:
    items: Queue[Any] = Queue(backend=backend)
    items.put(1)
    items.put(Unloadable())
    assert items.get_many(5) == [1]
    assert items.qsize() == 1


def test_an_unloadable_item_of_a_queue_with_early_acknowledgement_is_dropped(
    backend: Engine,
) -> None:
    items: Queue[Any] = Queue(ack="early", backend=backend)
    items.put(Unloadable())
    with pytest.raises(SerialisationError):
        items.get()
    items.join()


def test_a_large_item_that_is_gone_is_an_error(backend: Engine, connection: Broker) -> None:
    items: Queue[Any] = Queue(backend=backend)
    items.put(b"x" * 100_000)
    connection.delete(*connection.keys("distribute_challenge:value:*"))
    with pytest.raises(SerialisationError) as caught:
        items.get()
    assert isinstance(caught.value.__cause__, ValueLostError)


def test_items_of_another_python_stay_in_the_queue(backend: Engine, connection: Broker) -> None:
    items: Queue[Any] = Queue(backend=backend)
    items.put(1)
    old = sealed(items, "aa", ItemBlock([b"x"], 1, is_joined=False, is_plain=False, python="3.5"))
    QueueRecord(connection, items._handle.id).put("aa", 0, 1, old, [])
    assert items.get_many(5) == [1]
    with pytest.raises(VersionMismatchError, match=r"put by Python 3\.5"):
        items.get_many(5)
    wait_until(lambda: items.qsize() == 1)


@pytest.mark.parametrize("stop", [1, 2])
def test_forged_queue_entries_are_dropped_and_counted_as_refused(
    backend: Engine, connection: Broker, stop: int
) -> None:
    """A block of another queue; and an entry of more items than its block has."""
    items: Queue[Any] = Queue("items", backend=backend)
    other: Queue[Any] = Queue("other", backend=backend)
    block = sealed(
        other if stop == 1 else items, "aa", ItemBlock([b"x"], 1, is_joined=False, is_plain=True)
    )
    QueueRecord(connection, items._handle.id).put("aa", 0, stop, block, [])
    items.put(1)
    assert items.get_many(5) == [1]
    items.task_done()
    items.join()
    refusals = shared(items)._steps.record.connection.keyring.refusals
    assert refusals.total == 1


def test_get_skips_forged_items_and_waits_for_a_genuine_one(
    backend: Engine, connection: Broker
) -> None:
    items: Queue[Any] = Queue("items", backend=backend)
    QueueRecord(connection, items._handle.id).put("aa", 0, 1, b"forged", [])
    thread = threading.Timer(0.1, items.put, ["real"])
    thread.start()
    assert items.get(timeout=PATIENCE) == "real"
    thread.join()


def test_few_blocks_are_kept(backend: Engine) -> None:
    """Of those that were taken in part: the last ones."""
    items: Queue[int] = Queue("items", backend=backend)
    for _ in range(MOST_KEPT + 2):
        items.put_many([1, 2])
        items.get()
        items.get()
        items.put_many([3, 4])
        items.get()
        shared(items)._steps.record.take("other", os.urandom(4).hex(), 1)
    assert len(shared(items)._blocks.known()) == MOST_KEPT


def test_items_of_an_entry_that_were_not_done_go_back_to_the_queue(backend: Engine) -> None:
    items: Queue[int] = Queue(backend=backend)
    items.put_many([1, 2, 3])
    items.put_many([4, 5])
    queue = shared(items)
    with queue.consuming():
        received = queue.take(5, None)
        assert received is not None
        first, second = received.held
        queue.acknowledge([first._replace(stop=1)])
        queue.fail(first._replace(start=1, stop=2), "failed")
        queue.put_back(first._replace(start=2))
        wait_until(lambda: items.qsize() == 3)
        queue.put_back(second)  # For the second time, without an effect.
    assert items.get_many(5) == [3, 4, 5]
    assert items.dead_letters() == [(2, "failed")]
