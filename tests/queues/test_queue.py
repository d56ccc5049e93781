"""What `Queue` promises its users, on a real Redis."""

import copy
import pickle
import queue
import threading
from collections.abc import Callable
from typing import Any

import pytest

from distribute_challenge import LocalCluster, Queue, compute_this, use_backend
from distribute_challenge.errors import (
    BackendError,
    OptionError,
    SerialisationError,
)
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.keys import queue_key
from distribute_challenge.execution_backends.celery.broker.queues import QueueRecord
from distribute_challenge.execution_backends.item_queue import queue_id
from distribute_challenge.queues import DeadLetter, Full, ShutDown
from distribute_challenge.queues.queue import _reopened
from tests.execution_backends.celery.conftest import Server
from tests.processes import PATIENCE, wait_until
from tests.queues.waiting import in_thread, is_waiting

pytestmark = pytest.mark.celery

Engine = CeleryExecutionBackend


# --- order and kinds of items


def test_items_come_out_in_the_order_in_which_they_went_in(backend: Engine) -> None:
    numbers: Queue[Any] = Queue(backend=backend)
    numbers.put(1)
    numbers.put_many([2, 3, 4])
    numbers.put_nowait(5)
    assert numbers.get() == 1
    assert numbers.get_many(2) == [2, 3]
    assert numbers.get_nowait() == 4
    assert numbers.get_many(10) == [5]


def test_items_of_several_blocks_come_out_in_one_list(backend: Engine) -> None:
    texts: Queue[bytes] = Queue(backend=backend)
    items = [str(number).encode() * 100 for number in range(2500)]
    texts.put_many(items)
    assert texts.qsize() == 2500
    found: list[bytes] = []
    while len(found) < 2500:
        found += texts.get_many(2500)
    assert found == items
    texts.task_done(2500)
    texts.join()


def test_an_item_can_be_large(backend: Engine, other: Engine, name: str, server: Server) -> None:
    """It lies in Redis by itself, and goes with its end."""
    first: Queue[Any] = Queue(name, backend=backend)
    second: Queue[Any] = Queue(name, backend=other)
    first.put_many([b"small", b"x" * 200_000, b"small, too"])
    keys = "distribute_challenge:value:*"
    assert connect(server.url).keys(keys)
    assert [len(item) for item in second.get_many(3)] == [5, 200_000, 10]
    second.task_done(3)
    assert not connect(server.url).keys(keys)


def test_an_item_can_be_an_object_of_a_local_class(backend: Engine) -> None:
    class Point:
        def __init__(self, x: int) -> None:
            self.x = x

    points: Queue[Point] = Queue(backend=backend)
    points.put_many([Point(1), Point(2)])
    assert [point.x for point in points.get_many(5)] == [1, 2]


def test_an_item_that_cannot_be_pickled_is_not_put(backend: Engine) -> None:
    items: Queue[Any] = Queue(backend=backend)
    with pytest.raises(SerialisationError, match="an item of the queue"):
        items.put_many([1, threading.Lock()])
    assert items.empty()


# --- limits and time


def test_a_full_queue_raises_full(backend: Engine) -> None:
    numbers: Queue[int] = Queue(maxsize=2, backend=backend)
    with pytest.raises(Full, match="there was room for 2 of 5") as caught:
        numbers.put_many(range(5), timeout=0.01)
    assert caught.value.put == 2
    assert isinstance(caught.value, queue.Full)
    assert numbers.full()
    with pytest.raises(queue.Full):
        numbers.put_nowait(2)
    numbers.get()
    assert not numbers.full()
    numbers.put(2)


def test_put_waits_for_room(backend: Engine, other: Engine, name: str, server: Server) -> None:
    """Another client makes it."""
    numbers: Queue[int] = Queue(name, 1, backend=backend)
    thread, found = in_thread(lambda: numbers.put_many([1, 2, 3]))
    wait_until(is_waiting(server))
    consumer: Queue[int] = Queue(name, backend=other)
    assert [consumer.get(timeout=PATIENCE) for _ in range(3)] == [1, 2, 3]
    thread.join(PATIENCE)
    assert found == [None]


def test_get_waits_for_an_item(backend: Engine, other: Engine, name: str, server: Server) -> None:
    """Each item wakes one of those that wait, and the others after it."""
    numbers: Queue[int] = Queue(name, backend=backend)
    waiting = [in_thread(numbers.get) for _ in range(3)]
    wait_until(is_waiting(server, 3))
    Queue[int](name, backend=other).put_many([1, 2, 3])
    for thread, _ in waiting:
        thread.join(PATIENCE)
    assert sorted(found[0] for _, found in waiting) == [1, 2, 3]
    numbers.task_done(3)  # They are of other threads.


def test_an_empty_queue_raises_empty(backend: Engine) -> None:
    numbers: Queue[int] = Queue(backend=backend)
    for get in (numbers.get_nowait, lambda: numbers.get(timeout=0.01)):
        with pytest.raises(queue.Empty):
            get()


@pytest.mark.parametrize("word", ["put", "get"])
def test_a_negative_timeout_is_a_value_error(backend: Engine, word: str) -> None:
    numbers: Queue[int] = Queue(backend=backend)
    arguments = [1] if word == "put" else []
    with pytest.raises(ValueError, match="'timeout' must be a non-negative number"):
        getattr(numbers, word)(*arguments, timeout=-1)
    with pytest.raises(queue.Empty):
        numbers.get(False, -1)  # It is ignored then, as in the standard library.


def test_the_limit_can_be_changed(backend: Engine, server: Server) -> None:
    numbers: Queue[int] = Queue(maxsize=1, backend=backend)
    numbers.put(1)
    thread, found = in_thread(lambda: numbers.put(2))
    wait_until(is_waiting(server))
    numbers.maxsize = 2
    thread.join(PATIENCE)
    assert found == [None]
    assert numbers.maxsize == 2


# --- the end of items


def test_join_waits_until_all_items_are_done(
    backend: Engine, other: Engine, name: str, server: Server
) -> None:
    numbers: Queue[int] = Queue(name, backend=backend)
    numbers.join()
    numbers.put_many([1, 2])
    waiting = [in_thread(numbers.join) for _ in range(2)]
    consumer: Queue[int] = Queue(name, backend=other)
    consumer.get_many(2)
    consumer.task_done()
    wait_until(is_waiting(server, 2))
    consumer.task_done()
    for thread, found in waiting:
        thread.join(PATIENCE)
        assert found == [None]


def test_more_items_cannot_be_done_than_were_taken(backend: Engine) -> None:
    numbers: Queue[int] = Queue(backend=backend)
    with pytest.raises(ValueError, match="task_done\\(\\) called too many times"):
        numbers.task_done()
    numbers.put_many([1, 2, 3])
    numbers.get_many(2)
    with pytest.raises(ValueError, match="this process holds 2 item"):
        numbers.task_done(3)
    numbers.task_done(2)


def test_items_that_are_acknowledged_early_are_done_when_they_are_taken(
    backend: Engine, name: str
) -> None:
    numbers: Queue[int] = Queue(name, ack="early", backend=backend)
    numbers.put_many([1, 2])
    numbers.get_many(2)
    numbers.join()
    with pytest.raises(ValueError, match="leave task_done\\(\\) out"):
        numbers.task_done()


def test_items_that_a_client_holds_go_back_to_the_queue_when_it_is_closed(
    backend: Engine, server: Server, name: str
) -> None:
    with CeleryExecutionBackend(server.url) as other:
        taken: Queue[int] = Queue(name, backend=other)
        taken.put_many([1, 2, 3, 4])
        assert taken.get_many(3) == [1, 2, 3]
        taken.task_done()
    assert Queue[int](name, backend=backend).get_many(5) == [2, 3, 4]


def test_an_item_whose_processes_die_is_a_dead_letter(
    backend: Engine, server: Server, name: str
) -> None:
    """It counts as done, and can be put back."""
    items: Queue[Any] = Queue(name, backend=backend)
    items.put_many([[1], Unloadable()])
    leases = queue_key("leases", queue_id(name))
    with connect(server.url) as connection:
        for _ in range(7):
            QueueRecord(connection, queue_id(name)).take("lost", "lost", 2)
            connection.zadd(leases, {"lost": 1.0})
    with pytest.raises(queue.Empty):
        items.get_nowait()
    items.join()
    good, bad = items.dead_letters()
    assert good == DeadLetter([1], "each of the 3 processes that had taken it was lost")
    assert isinstance(bad.item, SerialisationError)
    assert items.requeue() == 2
    assert items.get() == [1]
    assert items.dead_letters() == []
    items.shutdown()
    with pytest.raises(ShutDown):
        items.requeue()


class Unloadable:
    def __reduce__(self) -> Any:
        return int, ("none",)


# --- pickles


@pytest.mark.parametrize("copied", [copy.copy, lambda it: pickle.loads(pickle.dumps(it))])
def test_a_copy_is_the_same_queue(
    backend: Engine, copied: Callable[[Queue[int]], Queue[int]]
) -> None:
    numbers: Queue[int] = Queue(backend=backend)
    copied(numbers).put(1)
    assert numbers.get() == 1
    copied(numbers).task_done()


def test_a_copy_of_a_queue_whose_backend_was_closed_uses_the_backend_of_today(
    backend: Engine, server: Server, name: str
) -> None:
    with CeleryExecutionBackend(server.url) as other:
        numbers: Queue[int] = Queue(name, backend=other)
        numbers.put(1)
    with use_backend(backend):
        assert copy.copy(numbers).get() == 1


# --- arguments


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"name": ""}, r"Queue\(''\): expected a name"),
        ({"name": 5}, r"Queue\(5\): expected a name .* as in Queue\(maxsize=10\)"),
        ({"name": "x" * 201}, "1 to 200 characters"),
        ({"maxsize": 1.5}, "maxsize=1.5: expected a whole number"),
        ({"maxsize": True}, "maxsize=True"),
        ({"lease": 0.1}, "lease=0.1: expected seconds, at least 0.5"),
        ({"lease": "1"}, "lease='1'"),
        ({"ack": "never"}, 'ack=\'never\': expected "late" or "early"'),
    ],
)
def test_a_wrong_argument_is_refused(backend: Engine, arguments: dict[str, Any], what: str) -> None:
    with pytest.raises(OptionError, match=what):
        Queue(**arguments, backend=backend)


@pytest.mark.parametrize("count", [0, True, 1.0])
def test_a_wrong_number_of_items_is_refused(backend: Engine, count: Any) -> None:
    numbers: Queue[int] = Queue(backend=backend)
    with pytest.raises(OptionError, match=f"most={count}: expected a whole number of at least 1"):
        numbers.get_many(count)
    with pytest.raises(OptionError, match=f"count={count}: expected"):
        numbers.task_done(count)


@pytest.mark.parametrize("engine", ["processes"])
def test_a_backend_without_queues_refuses_with_what_to_do(engine: str) -> None:
    with pytest.raises(BackendError, match="Queue\\(backend='celery'\\)"):
        Queue(backend=engine)


def test_a_pickled_queue_needs_a_backend_with_queues() -> None:
    with use_backend("processes"), pytest.raises(BackendError, match="lies in Redis"):
        _reopened("unnamed:1", False, "late").qsize()
    with use_backend("threads"), pytest.raises(BackendError, match="lies in Redis"):
        _reopened("named:1", False, "late").qsize()


# --- a cluster


@pytest.mark.slow
def test_calls_use_the_queues_that_they_get_as_arguments() -> None:
    """With a name and without one; and a queue of a name that is opened inside a call."""

    @compute_this()
    def double(numbers: Queue[int], doubled: Queue[int], name: str) -> str:
        while (number := numbers.get()) >= 0:
            doubled.put(2 * number)
            numbers.task_done()
        numbers.task_done()
        Queue[str](name).put("from a call")
        return repr(numbers)

    with LocalCluster(workers=1):
        numbers: Queue[int] = Queue()
        doubled: Queue[int] = Queue("doubled")
        opened: Queue[str] = Queue("opened")
        future = double(numbers, doubled, "opened").submit()
        numbers.put_many([1, 2, 3, -1])
        numbers.join()
        assert future.result(timeout=PATIENCE) == "<Queue without a name>"
        assert doubled.get_many(5) == [2, 4, 6]
        assert opened.get() == "from a call"
