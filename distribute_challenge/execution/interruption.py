"""Stopping a call that somebody cancelled, from outside the thread that runs it.

Who wants a call to stop writes that down where the process that runs it can read it, and then sends
the process a signal. The signal says no more than "look": it may come late, when another call runs.
What is written down says which call is meant.

In a process's main thread this interrupts Python code, sleeps and most waits; in any other thread
an exception is placed into the thread, which it meets at its next line of Python. Neither stops a
loop in C code: engines with processes then kill the process.
"""

import contextlib
import ctypes
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from distribute_challenge.core.interrupts import InterruptError

if TYPE_CHECKING:
    import asyncio

__all__ = ["GRACE", "LOOK", "WHOLE", "Interruption", "StoppedError", "ThreadInterruption", "loops"]

GRACE = 1.0  # Seconds that a call has to stop by itself; then its process is killed.

#: The signal. By itself it does nothing, so it harms no process that has not quite begun, or has
#: just made way for another; for the same reason Go interrupts its own threads with it.
LOOK: Final = signal.SIGURG

#: In place of a call's number: all calls of the batch.
WHOLE: Final = -1

_LEAVES_WITHIN = (
    0.2  # Seconds for a coroutine and its cleaning up, before it is stopped at any line.
)
_JUMPS = 1000  # A guess: one is enough.

#: Event loops that run, by their thread, which waits for events in them and comes to no line of
#: Python until it is woken.
loops: "dict[int, asyncio.AbstractEventLoop]" = {}


class StoppedError(InterruptError):
    """Raised inside the user's code, past its ``except Exception``; only the `Interruption` that
    raised it may catch it.
    """


class Interruption:
    """Where the calls of a process's main thread can be stopped.

    Args:
        is_unwanted: Whether a call is to stop, by its number in its batch. Asked before each call,
            and when a signal has come.
        tell: Told the number of the call that begins, so that others know which one does not stop.

    Guarantees: `StoppedError` is raised inside `run` alone, at most once in each. A call that is
    not wanted any more before it begins does not begin.

    Examples:
        >>> unwanted = {1}
        >>> interruption = Interruption(unwanted.__contains__, lambda number: None)
        >>> interruption.run(0, lambda number: "ran", otherwise=lambda: "stopped")
        'ran'
        >>> interruption.run(1, lambda number: "ran", otherwise=lambda: "stopped")
        'stopped'
    """

    def __init__(self, is_unwanted: Callable[[int], bool], tell: Callable[[int], None]) -> None:
        self.is_unwanted = is_unwanted
        self._tell = tell
        self._running: int | None = None

    def listen(self) -> None:
        """Look when the signal comes. To be called in the main thread."""
        signal.signal(LOOK, self._look)

    def run(self, number: int, call: Callable[[int], Any], otherwise: Callable[[], Any]) -> Any:
        """Run a call; or the part of it that comes before it is stopped, and then something else.

        Args:
            number: The call's number in its batch, or `WHOLE`.
            call: Runs the call of a number.
            otherwise: Gives the outcome if it was stopped.
        """
        try:
            try:
                self._running = number
                self._tell(number)
                if self.is_unwanted(number):
                    return otherwise()
                return call(number)
            finally:
                self._running = None
        except StoppedError:
            # It may have come while a time limit was being put away.
            signal.setitimer(signal.ITIMER_REAL, 0)
            return otherwise()

    def _look(self, signal_number: int, frame: FrameType | None) -> None:
        number = self._running
        if number is not None and self.is_unwanted(number):
            self._running = None
            raise StoppedError


class ThreadInterruption:
    """Stops what runs in one block of some thread.

    Guarantees: ``_lock`` orders `stop` and the block's end; an exception that came too late is
    caught there.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._unwanted = False

    def stop(self) -> None:
        """Stop the block: at its next line of Python, or before its first. Where it waits for
        events in a loop, the loop ends.
        """
        with self._lock:
            self._unwanted = True
            loop = loops.get(self._thread) if self._thread is not None else None
            if loop is None:
                self._place()
                return
            with contextlib.suppress(RuntimeError):  # It has been closed just now.
                loop.call_soon_threadsafe(_leave_loop)
        # A coroutine that computes does not come back to its loop.
        timer = threading.Timer(_LEAVES_WITHIN, self._insist)
        timer.daemon = True
        timer.start()

    def _insist(self) -> None:
        with self._lock:
            self._place()

    def _place(self) -> None:
        if self._thread is not None:
            thread = ctypes.c_ulong(self._thread)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(StoppedError))

    @contextmanager
    def listening(self) -> Iterator[None]:
        """The block, in the thread that enters it.

        Raises:
            StoppedError: It was stopped.
        """
        with self._lock:
            if self._unwanted:
                raise StoppedError
            self._thread = threading.get_ident()
        try:
            yield
        finally:
            with contextlib.suppress(StoppedError):
                with self._lock:
                    self._thread = None
                if self._unwanted:
                    # If it has not come yet, it comes with the next jump back. Taken back, CPython
                    # would go on looking for it.
                    for _ in range(_JUMPS):
                        pass


class _LeftLoopError(StoppedError, SystemExit):
    """asyncio keeps to itself whatever a callback raises, except for what ends the program."""


def _leave_loop() -> None:
    raise _LeftLoopError
