"""What a process has taken from a queue and not acknowledged."""

import threading
from collections import deque
from collections.abc import Iterable

from distribute_challenge.execution_backends.item_queue import Items

__all__ = ["HeldItems", "remove_first"]


class HeldItems:
    """The items that a process holds, by the thread that has taken them.

    `Queue.task_done` does not say which item is done: it is the one that the thread took first. For
    a thread that has none left, it is one that another thread has taken.

    Guarantees: safe for threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._threads: dict[int, deque[Items]] = {}

    def __bool__(self) -> bool:
        return self._count > 0

    def add(self, taken: Iterable[Items]) -> None:
        """Add items that this thread has taken."""
        with self._lock:
            row = self._threads.setdefault(threading.get_ident(), deque())
            for items in taken:
                self._count += items.stop - items.start
                row.append(items)

    def finish(self, count: int) -> list[Items]:
        """Remove and return items that are done.

        Args:
            count: How many.

        Raises:
            ValueError: So many are not held; then none is removed.
        """
        own = threading.get_ident()
        done: list[Items] = []
        with self._lock:
            if count > self._count:
                raise ValueError(
                    f"task_done() called too many times: this process holds {self._count} item(s) "
                    f"of the queue"
                )
            self._count -= count
            for thread in sorted(self._threads, key=lambda thread: thread != own):
                row = self._threads[thread]
                removed = remove_first(row, count)
                count -= sum(items.stop - items.start for items in removed)
                done += removed
                if not row:
                    del self._threads[thread]
        return done

    def restore(self, done: Iterable[Items]) -> None:
        """Add items again that `finish` has removed, before all others of this thread."""
        with self._lock:
            row = self._threads.setdefault(threading.get_ident(), deque())
            for items in reversed([*done]):
                self._count += items.stop - items.start
                row.appendleft(items)


def remove_first(row: deque[Items], count: int) -> list[Items]:
    """Remove and return the first items of a row.

    Args:
        row: The row.
        count: How many items; all, if there are fewer.

    Examples:
        >>> row = deque([Items("d:0", 0, 2), Items("d:1", 5, 9)])
        >>> [tuple(items) for items in remove_first(row, 3)], [tuple(items) for items in row]
        ([('d:0', 0, 2), ('d:1', 5, 6)], [('d:1', 6, 9)])
    """
    removed: list[Items] = []
    while row and count:
        delivery, start, stop = row.popleft()
        middle = min(stop, start + count)
        count -= middle - start
        removed.append(Items(delivery, start, middle))
        if middle < stop:
            row.appendleft(Items(delivery, middle, stop))
    return removed
