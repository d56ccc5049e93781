"""What interrupts a call from outside, and is no error of the call: a time limit, a cancellation,
Ctrl+C.

The library catches whatever a user's code raises, in calls and while it pickles their results. It
lets these pass.
"""

import atexit
import signal
import threading
from collections.abc import Callable

__all__ = ["InterruptError", "at_exit", "become_worker", "is_interrupt", "is_worker"]

_is_worker = False


class InterruptError(BaseException):
    """Raised inside a call by the part of the library that ends it, and caught there alone."""


def become_worker() -> None:
    """Say that this process exists to run calls."""
    global _is_worker
    _is_worker = True


def is_worker() -> bool:
    """Whether this process exists to run calls."""
    return _is_worker


def at_exit(clean_up: Callable[[], None]) -> None:
    """Have something called when the interpreter ends.

    From then on Ctrl+C is ignored: the program is ending already.

    Args:
        clean_up: Called in the main thread. It takes no longer than a user waits.
    """
    atexit.register(_undisturbed, clean_up)


def _undisturbed(clean_up: Callable[[], None]) -> None:
    # A handler of the user's own stays, and only the main thread may set one. It is not put back:
    # what Python still does after this would be disturbed as well.
    if (
        signal.getsignal(signal.SIGINT) is signal.default_int_handler
        and threading.current_thread() is threading.main_thread()
    ):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    clean_up()


def is_interrupt(error: BaseException) -> bool:
    """Whether an exception came from outside the code that was running.

    `KeyboardInterrupt` is Ctrl+C only in a client's main thread. Elsewhere the code itself raised
    it.

    Examples:
        >>> is_interrupt(KeyboardInterrupt()), is_interrupt(SystemExit())
        (True, False)
    """
    if isinstance(error, KeyboardInterrupt):
        return not _is_worker and threading.current_thread() is threading.main_thread()
    return isinstance(error, InterruptError)
