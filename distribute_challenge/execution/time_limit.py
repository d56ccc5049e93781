"""Stopping a call that runs too long, from inside its own process.

In a process's main thread a timer signal interrupts Python code, sleeps and most waits. In any
other thread an exception is placed into the thread, which it meets at its next line of Python.
Neither stops a loop inside C code: what the Celery worker does about that stands in
`execution_backends.celery.worker.request`.
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

__all__ = ["OverdueError", "time_limit"]


class OverdueError(InterruptError):
    """Raised inside the user's code, past its ``except Exception``; only the limit that raised it
    may catch it.

    Without an owner it was placed into a thread from outside, which can only name a class.
    """

    def __init__(self, owner: object = None) -> None:
        super().__init__()
        self.owner = owner


@contextmanager
def time_limit(seconds: float, name: str) -> Iterator[None]:
    """Raise `CallTimeoutError` if the block takes longer.

    Args:
        seconds: How long it may take.
        name: What takes that long, for the message.

    Examples:
        >>> import time
        >>> with time_limit(0.01, "nap"):
        ...     time.sleep(5)
        Traceback (most recent call last):
        ...
        distribute_challenge.errors.CallTimeoutError: nap ran longer than timeout=0.01 s and was stopped
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    owner = object()
    try:
        with _by_signal(seconds, owner) if in_main_thread else _by_thread(seconds):
            yield
    except OverdueError as error:
        if error.owner not in (owner, None):
            raise
        raise CallTimeoutError(
            f"{name} ran longer than timeout={seconds:g} s and was stopped"
        ) from None


@contextmanager
def _by_signal(seconds: float, owner: object) -> Iterator[None]:
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise OverdueError(owner)

    began = time.monotonic()
    outer_left, _ = signal.getitimer(signal.ITIMER_REAL)
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if outer_left:
            # A call inside a call: the outer one's limit goes on, and fires at once if it is over
            # by now.
            signal.setitimer(signal.ITIMER_REAL, max(outer_left - (time.monotonic() - began), 1e-6))


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
        # Once this lock is held, no exception can come any more that was meant for this block only.
        with lock:
            over = True
        timer.cancel()
