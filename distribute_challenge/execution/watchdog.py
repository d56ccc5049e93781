"""The watchdog: a second thread that watches the batch which a worker process runs.

A worker looks at the clock between two calls. While one call takes long, the other calls of its
message would wait for it although other workers are free. So the watchdog gives them back while the
call runs, and sends the outcomes that are ready.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Progress", "Send", "Watchdog"]

LOOK_EVERY = 0.1  # Seconds between two looks.
# Looks in a row without a batch, after which the thread sleeps until it is woken.
IDLE_LOOKS = 20

#: Sends the outcomes of a batch that were not sent yet, with the number of calls that this process
#: will have answered in the end. True if it sent the outcomes, too.
Send = Callable[["Progress", int], bool]


class Progress:
    """The progress of one batch, shared by the thread that runs it and the watchdog.

    Args:
        calls: Number of calls in the batch.
        patience: Seconds that the batch may take; after that, calls that were not begun go back to
            the client.

    Attributes:
        outcomes: Outcomes of the calls that have ended; the running thread appends them.
        sent: Number of outcomes that were sent.
        deadline: When ``patience`` is over, by `time.monotonic`.

    Guarantees: ``_lock`` makes the running thread and the watchdog agree on which calls this
    process answers. What the watchdog sends has been sent when the running thread gets the lock.
    """

    def __init__(self, calls: int, patience: float) -> None:
        self.outcomes: list[Any] = []
        self.sent = 0
        self._calls = calls
        self.deadline = time.monotonic() + patience
        self._kept: int | None = None
        self._lock = threading.Lock()

    def is_overdue(self) -> bool:
        """Whether the batch takes so long that other workers should run the rest."""
        return time.monotonic() > self.deadline

    def is_over(self) -> bool:
        """Whether the running thread must begin no more calls. It asks between two calls.

        It only asks if the batch is overdue, or its results are larger than expected.
        """
        with self._lock:
            if self._kept is None:
                self._kept = len(self.outcomes)
            return len(self.outcomes) >= self._kept

    def take(self) -> tuple[int, list[Any]]:
        """Return the outcomes that were not sent yet, and the number of the first of their calls.

        The running thread calls it, and then sends them.
        """
        with self._lock:
            first, self.sent = self.sent, len(self.outcomes)
            return first, self.outcomes[first:]

    def end(self) -> tuple[int, list[Any]]:
        """Like `take`, after the last call: from now on the watchdog gives nothing back."""
        self.is_over()
        return self.take()

    def give_back(self, send: Send) -> None:
        """Give back the calls that were not begun. The watchdog calls it.

        Args:
            send: Sends the outcomes so far, and says how many calls are kept.
        """
        with self._lock:
            done = len(self.outcomes)
            if self._kept is not None or done + 1 >= self._calls:
                return
            self._kept = done + 1
            if send(self, self._kept):
                self.sent = done


class Watchdog:
    """The watchdog thread of a worker process. It starts with the first batch to watch."""

    def __init__(self) -> None:
        self._current: tuple[Progress, Send] | None = None
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def looking_at(self, progress: Progress, send: Send) -> Iterator[None]:
        """Watch a batch while the block runs; only one batch at a time.

        Args:
            progress: The progress of the batch.
            send: Sends outcomes that are ready, and gives back calls that were not begun.
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
            del current, progress, send  # Otherwise this frame would keep the last batch alive.

    def _rest(self) -> None:
        self._wanted.clear()
        if self._current is not None:  # A batch came in between.
            self._wanted.set()
