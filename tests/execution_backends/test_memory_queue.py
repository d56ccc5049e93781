"""Queues in the memory of one process."""

import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from distribute_challenge import Queue, compute_this
from distribute_challenge.errors import BackendError, OptionError, SerialisationError
from distribute_challenge.execution_backends.memory_queue import MemoryQueue
from distribute_challenge.queues import Full, ShutDown
from tests.forks import ended, fork
from tests.processes import PATIENCE


@pytest.fixture
def items() -> "Queue[Any]":
    return Queue(backend="threads")


@pytest.fixture
def named() -> Iterator["Queue[Any]"]:
    named: Queue[Any] = Queue("named", maxsize=2, backend="threads")
    yield named
    named.delete()


def test_items_come_in_order_as_copies(items: "Queue[Any]") -> None:
    value = [1]
    items.put_many([value, "text", 3])
    value.append(2)
    assert items.get() == [1]
    assert items.get_many(5) == ["text", 3]
    assert items.opened().state().unfinished == 3
    items.task_done(3)
    items.join()


def test_put_waits_for_room_and_get_for_items(named: "Queue[Any]") -> None:
    named.put_many([1, 2])
    assert named.full()
    with pytest.raises(Full):
        named.put_nowait(3)
    with pytest.raises(Full) as caught:
        named.put_many([3], timeout=0.01)
    assert caught.value.put == 0
    putting = threading.Thread(target=named.put, args=(3,))
    putting.start()
    assert [named.get(timeout=PATIENCE) for _ in range(3)] == [1, 2, 3]
    putting.join(PATIENCE)
    with pytest.raises(queue.Empty):
        named.get_nowait()
    with pytest.raises(queue.Empty):
        named.get(timeout=0.01)
    named.maxsize = 5
    assert named.maxsize == 5


def test_a_queue_name_means_the_same_queue_in_the_whole_process(named: "Queue[Any]") -> None:
    other: Queue[Any] = Queue("named", backend="local")
    named.put(1)
    assert other.get() == 1
    with pytest.raises(OptionError, match="is there already, with maxsize=2"):
        Queue("named", maxsize=3, backend="threads")
    Queue("named", lease=5, backend="threads")
    without_limit: Queue[Any] = Queue("limit", backend="threads")
    assert Queue("limit", maxsize=3, backend="threads").maxsize == without_limit.maxsize == 3
    without_limit.delete()


def test_calls_on_threads_use_the_queue_of_the_program(items: "Queue[Any]") -> None:
    @compute_this(backend="threads")
    def put(items: "Queue[Any]") -> None:
        items.put("from a call")

    put(items).compute()
    assert items.get() == "from a call"


def test_a_call_in_another_process_that_uses_a_memory_queue_gets_an_error(
    items: "Queue[Any]",
) -> None:
    @compute_this(backend="processes")
    def put(items: "Queue[Any]") -> None:
        items.put("from a call")

    with pytest.raises(BackendError, match="without a name lies in the memory of another process"):
        put(items).compute()


def test_a_process_that_runs_calls_cannot_make_a_memory_queue() -> None:
    program = (
        "from distribute_challenge.core.interrupts import become_worker; become_worker(); "
        "from distribute_challenge import Queue; Queue(backend='threads')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "BackendError: a queue that processes share lies in Redis" in done.stderr


def test_shutdown_refuses_items(items: "Queue[Any]") -> None:
    items.put_many([1, 2, 3])
    taken = items.opened().take(1, None)
    assert taken is not None
    items.shutdown()
    with pytest.raises(ShutDown):
        items.put(4)
    with pytest.raises(ShutDown):
        items.requeue()
    items.shutdown(immediate=True)
    with pytest.raises(ShutDown):
        items.get()
    items.opened().reject(taken)  # It is dropped, too.
    items.join()


def test_join_ends_when_its_caller_does_not_want_it_any_more(
    items: "Queue[Any]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{MemoryQueue.__module__}.LOOK_EVERY", 0.01)
    items.put(1)
    answers = iter([True, False])
    assert not items.opened().join(None, lambda: next(answers))
    assert not items.opened().join(0.0)


def test_join_does_not_wait_for_deleted_items(items: "Queue[Any]") -> None:
    items.put_many([1, 2])
    items.get()
    received = items.opened().take(1, None)
    assert received is not None
    items.delete()
    items.opened().fail(received.held[0], "late")
    assert (items.empty(), items.dead_letters()) == (True, [])
    items.join()


def test_items_can_be_dropped_without_being_acknowledged() -> None:
    items: Queue[int] = Queue(ack="early", backend="local")
    items.put(1)
    assert items.get() == 1
    items.join()


class Fragile:
    """Cannot be unpickled while ``breaks`` is set."""

    breaks: Any = False

    def __reduce__(self) -> Any:
        return _made, ()


def _made() -> Fragile:
    if Fragile.breaks:
        raise Fragile.breaks
    return Fragile()


def test_an_item_that_cannot_be_unpickled_counts_as_taken(
    items: "Queue[Any]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those before it are returned first."""
    monkeypatch.setattr(Fragile, "breaks", RuntimeError("broken"))
    items.put_many([{"plain": 1}, Fragile(), 2])
    assert items.get_many(5) == [{"plain": 1}]
    with pytest.raises(SerialisationError, match="RuntimeError: broken"):
        items.get_many(5)
    assert items.get_many(5) == [2]
    items.task_done(3)
    items.put(Fragile())
    received = items.opened().take(1, None)
    assert received is not None
    items.opened().fail(received.held[0], "because")
    ((item, error),) = items.dead_letters()
    assert (type(item), error) == (SerialisationError, "because")


def test_an_interrupt_while_an_item_is_loaded_leaves_it(
    items: "Queue[Any]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fragile, "breaks", KeyboardInterrupt())
    items.put(Fragile())
    with pytest.raises(KeyboardInterrupt):
        items.get()
    assert items.qsize() == 1


def test_a_forked_child_has_its_own_copy_of_the_queue(items: "Queue[Any]") -> None:
    items.put(1)
    held = threading.Event()
    release = threading.Event()

    def hold() -> None:
        with items.opened()._changed:  # type: ignore[attr-defined]
            held.set()
            release.wait(PATIENCE)

    holding = threading.Thread(target=hold)
    holding.start()
    assert held.wait(PATIENCE)
    try:
        assert ended(fork(lambda: items.get() == 1)) == 1
    finally:
        release.set()
        holding.join()
    assert items.get() == 1
