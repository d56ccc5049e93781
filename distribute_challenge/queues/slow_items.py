"""Gives items back that wait behind one which takes long, from a thread of its own.

One thread of the process watches all consumers. A thread for each would be started again and again,
and a thread that is cancelled while it starts another one may hang.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from distribute_challenge.core import clock
from distribute_challenge.core.forks import renew_in_children
from distribute_challenge.queues.taken_items import TakenItems

__all__ = ["SlowItems"]

LONGEST = 0.5  # Seconds after which a consumer gives back what it has not begun; a guess.
LOOK_EVERY = 0.1  # Seconds between two looks.
IDLE_LOOKS = 20  # Looks in a row without items, after which the thread sleeps until it is woken.


class SlowItems:
    """The thread, which starts with the first items to watch.

    Guarantees: the table of items is changed by single operations on a dict, which are atomic.
    """

    def __init__(self) -> None:
        self.renew_locks()
        renew_in_children(self)

    def renew_locks(self) -> None:
        self._watched: dict[TakenItems, float] = {}
        self._wanted = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def watching(self, taken: TakenItems) -> Iterator[None]:
        """Return a context manager for the block that works on some items."""
        self._watched[taken] = clock.monotonic() + LONGEST
        if self._thread is None:
            self._start()
        if not self._wanted.is_set():
            self._wanted.set()
        try:
            yield
        finally:
            self._watched.pop(taken, None)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="distribute_challenge slow items", daemon=True
                )
                self._thread.start()

    def _run(self) -> None:
        idle = 0
        pause = threading.Event()
        while True:
            self._wanted.wait()
            pause.wait(LOOK_EVERY)
            idle = 0 if self._watched else idle + 1
            if idle > IDLE_LOOKS:
                self._rest()
            for taken, until in list(self._watched.items()):
                if clock.monotonic() > until and self._watched.pop(taken, None) is not None:
                    taken.put_back_unbegun()

    def _rest(self) -> None:
        self._wanted.clear()
        if self._watched:  # Items came in between.
            self._wanted.set()
