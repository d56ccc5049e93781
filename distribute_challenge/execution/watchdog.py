"""A second thread that looks at the batch which a worker process is running.

A worker looks at the clock between two calls. While one call takes long, those that share its
message would wait for it, though other workers are free: so they are given back from beside it,
while it runs, and what is finished goes home.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Progress", "Send", "Watchdog"]

LOOK_EVERY = 0.1  # Seconds between two looks.
IDLE_LOOKS = (
    20  # Looks in a row that find nothing, after which the thread sleeps until it is woken.
)

#: Sends the outcomes of a batch that are not on their way yet, with the number of calls that will
#: be answered here in the end. True if it sent the outcomes, too.
Send = Callable[["Progress", int], bool]


class Progress:
    """How far a batch is.

    Args:
        calls: How many calls it has.
        patience: Seconds that it may take; after that, calls that were not begun go back to the
            client.

    Attributes:
        outcomes: Of the calls that have ended; the thread that runs them appends.
        sent: How many of these are on their way home.
        deadline: When patience ends, by `time.monotonic`.

    Guarantees: ``_lock`` makes the running thread and the watchdog agree on which calls are
    answered here; whatever the watchdog sends has been sent when the running thread comes past the
    lock.
    """

    def __init__(self, calls: int, patience: float) -> None:
        self.outcomes: list[Any] = []
        self.sent = 0
        self._calls = calls
        self.deadline = time.monotonic() + patience
        self._kept: int | None = None
        self._lock = threading.Lock()

    def is_overdue(self) -> bool:
        """Whether the batch takes so long that others should have the rest."""
        return time.monotonic() > self.deadline

    def is_over(self) -> bool:
        """For the running thread, between two calls of an overdue batch: whether to begin no more."""
        with self._lock:
            if self._kept is None:
                self._kept = len(self.outcomes)
            return len(self.outcomes) >= self._kept

    def take(self) -> tuple[int, list[Any]]:
        """For the running thread: the outcomes that are not on their way yet, and the number of the
        first.
        """
        with self._lock:
            first, self.sent = self.sent, len(self.outcomes)
            return first, self.outcomes[first:]

    def end(self) -> tuple[int, list[Any]]:
        """Likewise, after the last call: nothing is given back any more."""
        self.is_over()
        return self.take()

    def give_back(self, send: Send) -> None:
        """For the watchdog: give back what has not been begun."""
        with self._lock:
            done = len(self.outcomes)
            if self._kept is not None or done + 1 >= self._calls:
                return
            self._kept = done + 1
            if send(self, self._kept):
                self.sent = done


class Watchdog:
    """The thread. It is started with the first batch that it is to look at."""

    def __init__(self) -> None:
        self._current: tuple[Progress, Send] | None = None
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def looking_at(self, progress: Progress, send: Send) -> Iterator[None]:
        """Look at a batch for as long as the block takes; one at a time.

        Args:
            progress: How far it is.
            send: Sends what has ended, and gives back what was not begun.
        """
        self._current = progress, send
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._look, name="distribute_challenge watchdog", daemon=True
            )
            self._thread.start()
        if not self._wanted.is_set():
            self._wanted.set()
        try:
            yield
        finally:
            self._current = None

    def _look(self) -> None:
        idle = 0
        pause = threading.Event()
        while True:
            self._wanted.wait()
            pause.wait(LOOK_EVERY)
            current = self._current
            if current is None:
                idle += 1
                if idle > IDLE_LOOKS:
                    self._rest()
                continue
            idle = 0
            progress, send = current
            if progress.is_overdue():
                progress.give_back(send)
            del current, progress, send  # This frame would keep the last batch while there is none.

    def _rest(self) -> None:
        self._wanted.clear()
        if self._current is not None:  # It came just now.
            self._wanted.set()
