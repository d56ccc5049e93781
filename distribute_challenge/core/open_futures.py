"""The futures of an executor that are not done."""

import threading
from collections.abc import Callable
from typing import Any

from distribute_challenge.core.condition import Condition
from distribute_challenge.core.forks import renew_in_children
from distribute_challenge.core.futures import Future
from distribute_challenge.core.lazy_future import LONGEST_WAIT

__all__ = ["OpenFutures"]


class OpenFutures:
    """Futures that are not done, in the order in which they were added.

    Args:
        ended: Called with each future that is done, before it is removed.
        is_empty: Called each time that the last one was removed.

    Guarantees: ``_lock`` protects all fields. The two functions are called in the thread that
    resolves the future, and not under the lock.
    """

    def __init__(self, ended: Callable[[Future[Any]], None], is_empty: Callable[[], None]) -> None:
        self._ended = ended
        self._is_empty = is_empty
        self._open: dict[Future[Any], None] = {}
        self.renew_locks()
        renew_in_children(self)

    def renew_locks(self) -> None:
        # Reentrant: garbage that is collected under it may end a future.
        self._lock = threading.RLock()
        self._changed = Condition(self._lock)
        self._calling = 0  # Threads that call `is_empty`.

    def __len__(self) -> int:
        return len(self._open)

    def add(self, future: Future[Any]) -> None:
        """Add a future; it is removed when it is done."""
        with self._lock:
            self._open[future] = None
        future.when_done(self._remove)

    def all(self) -> list[Future[Any]]:
        """Return the futures, the oldest first."""
        with self._lock:
            return list(self._open)

    def wait(self) -> None:
        """Wait until all are done, and the two functions have returned."""
        with self._lock:
            while self._open or self._calling:
                self._changed.wait(LONGEST_WAIT)
                if self._open and next(iter(self._open)).done():
                    # In the child of a fork, a future of the parent ends when the child looks at
                    # it, and calls nothing.
                    self._open = {each: None for each in self._open if not each.done()}

    def _remove(self, future: Future[Any]) -> None:
        self._ended(future)
        with self._lock:
            self._open.pop(future, None)
            if self._open:
                return
            self._calling += 1
        try:
            self._is_empty()
        finally:
            with self._lock:
                self._calling -= 1
                self._changed.notify_all()
