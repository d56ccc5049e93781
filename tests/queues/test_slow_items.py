"""Items that wait behind one which takes long."""

import pytest

from distribute_challenge.execution_backends.item_queue import Items
from distribute_challenge.execution_backends.memory_queue import MemoryQueue
from distribute_challenge.queues import slow_items as module
from distribute_challenge.queues.slow_items import SlowItems
from distribute_challenge.queues.taken_items import TakenItems
from tests.processes import wait_until


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY", 0.001)
    monkeypatch.setattr(module, "IDLE_LOOKS", 1)


def taken() -> TakenItems:
    return TakenItems(MemoryQueue("unnamed:1", 0), "abc", [Items("d:0", 0, 3)])


def test_items_behind_a_slow_item_go_back_also_after_the_thread_has_rested(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LONGEST", 0.01)
    slow = SlowItems()
    for _ in range(2):
        items = taken()
        begun = iter(items)
        assert next(begun) == "a"
        with slow.watching(items):
            wait_until(lambda items=items: not items._unbegun)  # type: ignore[misc]
        assert list(begun) == []
        assert items.finish(1) == [Items("d:0", 0, 1)]
        wait_until(lambda: not slow._wanted.is_set())


def test_the_thread_does_not_rest_if_items_arrived_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LONGEST", 1000.0)
    slow = SlowItems()
    with slow.watching(taken()):
        slow._rest()
        assert slow._wanted.is_set()


def test_one_thread_watches_all_items() -> None:
    slow = SlowItems()
    slow._start()
    thread = slow._thread
    slow._start()
    assert slow._thread is thread
