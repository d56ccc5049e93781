"""Stops a cancelled call from outside the thread that runs it.

To stop a call, an engine sets a flag that the process which runs the call can read, and then sends
the process a signal. The signal only means "look at the flags": it may come late, when another call
runs. The flag says which call is meant.

In a process's main thread this interrupts Python code, sleeps and most waits. Into any other thread
an exception is placed, which is raised at the thread's next line of Python. Neither stops a loop in
C code: then engines with processes kill the process.
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

#: The signal. By default it does nothing, so it harms no process that is still starting, or that
#: has just replaced another; for the same reason Go interrupts its own threads with it.
LOOK: Final = signal.SIGURG

#: In place of a call's number: all calls of the batch.
WHOLE: Final = -1

# Seconds that a coroutine and its cleaning up have before the call is stopped at any line.
_LEAVES_WITHIN = 0.2
_JUMPS = 1000  # A guess: one is enough.

#: Running event loops, by thread. A thread that waits for events in its loop reaches no line of
#: Python until it is woken.
loops: "dict[int, asyncio.AbstractEventLoop]" = {}


class StoppedError(InterruptError):
    """Raised inside the user's code to stop a call; ``except Exception`` does not catch it.

    Only the `Interruption` that raised it may catch it.
    """


class Interruption:
    """Runs calls in a process's main thread so that they can be stopped.

    Args:
        is_unwanted: Tells whether a call was cancelled, by its number in its batch. Called before
            each call, and when a signal has come.
        tell: Called with the number of each call that begins, so that the engine knows which call
            does not stop.

    Guarantees: `StoppedError` is raised only inside `run`, at most once in each. A call that was
    cancelled before it begins does not begin.

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
        """Handle the signal from now on. Call it in the main thread."""
        signal.signal(LOOK, self._look)

    def run(self, number: int, call: Callable[[int], Any], otherwise: Callable[[], Any]) -> Any:
        """Run a call and return its outcome; if it is stopped, return that of ``otherwise``.

        Args:
            number: The call's number in its batch, or `WHOLE`.
            call: Runs the call of a number.
            otherwise: Returns the outcome of a call that was stopped.
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
            # It may have been raised while a time limit was being removed.
            signal.setitimer(signal.ITIMER_REAL, 0)
            return otherwise()

    def _look(self, signal_number: int, frame: FrameType | None) -> None:
        number = self._running
        if number is not None and self.is_unwanted(number):
            self._running = None
            raise StoppedError


class ThreadInterruption:
    """Stops a block of code in any thread; the ``threads`` engine uses one for each call.

    Guarantees: ``_lock`` orders `stop` and the end of the block; an exception that comes too late
    is caught at the end of the block.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._unwanted = False

    def stop(self) -> None:
        """Stop the block at its next line of Python, or before its first.

        If it waits for events in an event loop, the loop ends.
        """
        with self._lock:
            self._unwanted = True
            loop = loops.get(self._thread) if self._thread is not None else None
            if loop is None:
                self._place()
                return
            with contextlib.suppress(RuntimeError):  # The loop has been closed in between.
                loop.call_soon_threadsafe(_leave_loop)
        # A coroutine that computes does not return to its loop, so it is stopped at any line.
        timer = threading.Timer(_LEAVES_WITHIN, self._stop_again)
        timer.daemon = True
        timer.start()

    def _stop_again(self) -> None:
        with self._lock:
            self._place()

    def _place(self) -> None:
        if self._thread is not None:
            thread = ctypes.c_ulong(self._thread)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(StoppedError))

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Return the context manager for the block, in the thread that enters it.

        Raises:
            StoppedError: The block was stopped.
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
                    # A pending exception is raised at the next jump back of the loop. If it were
                    # withdrawn instead, CPython would go on checking for it.
                    for _ in range(_JUMPS):
                        pass


class _LeftLoopError(StoppedError, SystemExit):
    """Raised in a loop's callback: asyncio only lets exceptions pass that end the program."""


def _leave_loop() -> None:
    raise _LeftLoopError
