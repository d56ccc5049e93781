"""Interrupts: time limits, cancellations and Ctrl+C, which end a call from outside.

The library catches every exception that a user's code raises, in calls and while it pickles their
results. Interrupts are no errors of the call, and the library lets them pass.
"""

import atexit
import signal
import threading
from collections.abc import Callable

__all__ = ["InterruptError", "at_exit", "become_worker", "is_interrupt", "is_worker"]

_is_worker = False


class InterruptError(BaseException):
    """Raised inside a call by the library, to end the call; only the raising part catches it."""


def become_worker() -> None:
    """Mark this process as one that exists to run calls."""
    global _is_worker
    _is_worker = True


def is_worker() -> bool:
    """Whether this process exists to run calls."""
    return _is_worker


def at_exit(clean_up: Callable[[], None]) -> None:
    """Register a function to be called when the interpreter ends.

    From then on Ctrl+C is ignored: the program is ending already.

    Args:
        clean_up: Called in the main thread. It must return as soon as a user at a terminal expects.
    """
    atexit.register(_undisturbed, clean_up)


def _undisturbed(clean_up: Callable[[], None]) -> None:
    try:
        _ignore_ctrl_c()
    except KeyboardInterrupt:
        _ignore_ctrl_c()  # It came just before; the clean-up must not be left out.
    clean_up()


def _ignore_ctrl_c() -> None:
    # A user's own handler stays, and only the main thread may set one. The default handler is not
    # restored: Ctrl+C would interrupt what Python does after this.
    if (
        signal.getsignal(signal.SIGINT) is signal.default_int_handler
        and threading.current_thread() is threading.main_thread()
    ):
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def is_interrupt(error: BaseException) -> bool:
    """Whether an exception came from outside the code that was running.

    Only in a client's main thread does `KeyboardInterrupt` mean Ctrl+C. Elsewhere the code itself
    raised it.

    Examples:
        >>> is_interrupt(KeyboardInterrupt()), is_interrupt(SystemExit())
        (True, False)
    """
    if isinstance(error, KeyboardInterrupt):
        return not _is_worker and threading.current_thread() is threading.main_thread()
    return isinstance(error, InterruptError)
