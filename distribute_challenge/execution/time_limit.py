"""Stops a call that runs too long, from inside its own process.

In a process's main thread a timer signal interrupts Python code, sleeps and most waits. Into any
other thread an exception is placed, which is raised at the thread's next line of Python. Neither
stops a loop in C code: then the Celery worker kills the child process
(`execution_backends.celery.worker.overrides.request`).
"""

import ctypes
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from distribute_challenge.core.interrupts import InterruptError
from distribute_challenge.errors import CallTimeoutError

__all__ = ["OverdueError", "TimeLimit"]

# Seconds between two signals. The first one interrupts no wait if it comes just before the wait
# begins, when Python has looked for signals already.
AGAIN_EVERY = 0.5


class OverdueError(InterruptError):
    """Raised inside the user's code at its time limit; ``except Exception`` does not catch it.

    Only the `TimeLimit` that raised it may catch it. It has no owner if it was placed into a
    thread from outside: that way only a class can be given, not an instance.
    """

    def __init__(self, owner: object = None) -> None:
        super().__init__()
        self.owner = owner


class TimeLimit:
    """The time limit of one block.

    Args:
        seconds: How long the block may take.
        name: Name of the call, for the error message.

    Examples:
        >>> import time
        >>> with TimeLimit(0.01, "nap").running():
        ...     time.sleep(5)
        Traceback (most recent call last):
        ...
        distribute_challenge.errors.CallTimeoutError: nap ran longer than timeout=0.01 s and was stopped
    """

    def __init__(self, seconds: float, name: str) -> None:
        self._seconds = seconds
        self._name = name

    @contextmanager
    def running(self) -> Iterator[None]:
        """Return the context manager for the block.

        Raises:
            CallTimeoutError: The block took longer.
            OverdueError: The time was over when the block was being entered or left, in between two
                lines of this module; `translated` gives the error to raise instead.
        """
        in_main_thread = threading.current_thread() is threading.main_thread()
        try:
            with _by_signal(self._seconds, self) if in_main_thread else _by_thread(self._seconds):
                yield
        except OverdueError as error:
            translated = self.translated(error)
            if translated is error:
                raise
            raise translated from None

    def translated(self, error: BaseException) -> BaseException:
        """Return the error for the caller, if an exception says that this limit was reached.

        Returns:
            That error; any other exception itself.
        """
        if isinstance(error, OverdueError) and error.owner in (self, None):
            return CallTimeoutError(
                f"{self._name} ran longer than timeout={self._seconds:g} s and was stopped"
            )
        return error


@contextmanager
def _by_signal(seconds: float, owner: object) -> Iterator[None]:
    raised = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal raised
        if not raised:
            raised = True
            raise OverdueError(owner)

    began = time.monotonic()
    # Stopped at first: the outer limit would raise this limit's error between the next two lines.
    outer_left, outer_interval = signal.setitimer(signal.ITIMER_REAL, 0)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_EVERY)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if outer_left:
            # A call inside a call: the outer call's limit goes on, and fires at once if its time is
            # already over.
            left = max(outer_left - (time.monotonic() - began), 1e-6)
            signal.setitimer(signal.ITIMER_REAL, left, outer_interval)


@contextmanager
def _by_thread(seconds: float) -> Iterator[None]:
    thread = ctypes.c_ulong(threading.get_ident())
    lock = threading.Lock()
    over = False

    def interrupt() -> None:
        with lock:
            if not over:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(OverdueError))

    timer = threading.Timer(seconds, interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        # Once this lock was held, no exception for this block can be placed into the thread.
        with lock:
            over = True
        timer.cancel()
