"""The items that a consumer has taken at once, and works on one after the other."""

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from distribute_challenge.execution_backends.held_items import remove_first
from distribute_challenge.execution_backends.item_queue import ItemQueue, Items

__all__ = ["TakenItems"]


class TakenItems:
    """Gives items to a consumer, and those that it has not begun back to the queue.

    Args:
        shared: Their queue.
        items: The items.
        held: Which ones they are.

    Guarantees: ``_lock`` makes the consumer and the thread that gives items back agree on which
    ones were begun.
    """

    def __init__(self, shared: ItemQueue, items: Sequence[Any], held: Sequence[Items]) -> None:
        self._shared = shared
        self._lock = threading.Lock()
        self._unbegun = deque(items)
        self._held = deque(held)
        self._begun = 0

    def __iter__(self) -> Iterator[Any]:
        """Yield the items; each counts as begun from then on."""
        while True:
            with self._lock:
                if not self._unbegun:
                    return
                item = self._unbegun.popleft()
                self._begun += 1
            yield item

    def finish(self, count: int) -> list[Items]:
        """Return which ones those are that were begun first; they are not held here any more.

        Args:
            count: How many. They are all that were begun, or fewer.
        """
        with self._lock:
            self._begun -= count
            return remove_first(self._held, count)

    def put_back_unbegun(self) -> None:
        """Put the items that were not begun back to the front of the queue, for other consumers."""
        with self._lock:
            self._unbegun.clear()
            begun = remove_first(self._held, self._begun)
            rest, self._held = self._held, deque(begun)
            if rest:
                self._shared.put_back(rest[0])

    def put_back(self) -> None:
        """Put all items that are held back to the front of the queue: the consumer ends."""
        with self._lock:
            self._unbegun.clear()
            rest, self._held = self._held, deque()
            if rest:
                self._shared.put_back(rest[0])
