"""Ctrl+C and the other signals that ask a program to end: only the first one interrupts it."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["interruptible"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN_AFTER = 0.01  # Seconds.


@contextmanager
def interruptible(words: str) -> Iterator[None]:
    """Raise `KeyboardInterrupt` in the block at the first Ctrl+C, SIGTERM or SIGHUP.

    At each later one, print the words to standard error, and let the block clean up.

    Only the main thread may use this, as no other thread may set signal handlers.

    Args:
        words: What to print when the user presses Ctrl+C again.

    Examples:
        >>> import os
        >>> with interruptible("wait"):
        ...     try:
        ...         os.kill(os.getpid(), signal.SIGTERM)
        ...     except KeyboardInterrupt:
        ...         os.kill(os.getpid(), signal.SIGTERM)  # Prints "wait" to stderr.
        ...         print("tidied up")
        tidied up
    """
    raised: BaseException | None = None
    received = signal.SIGINT
    thread = threading.get_ident()
    ignores = False  # Whether Python ignores what is raised now.

    def take(number: int, frame: Any) -> None:
        nonlocal raised, received
        if raised is not None:
            print(words, file=sys.stderr)
            return
        if ignores:
            send_again()
            return
        raised, received = KeyboardInterrupt(), signal.Signals(number)
        raise raised

    def send_again() -> None:
        again = threading.Timer(AGAIN_AFTER, signal.pthread_kill, (thread, received))
        again.daemon = True
        again.start()

    def take_ignored(ignored: Any) -> None:
        nonlocal raised, ignores
        if ignored.exc_value is not raised:
            hook(ignored)
            return
        # Python ignores what is raised while it deletes an object. The signal comes once more.
        raised, ignores = None, True
        send_again()
        ignores = False

    before = {number: signal.signal(number, take) for number in SIGNALS}
    hook, sys.unraisablehook = sys.unraisablehook, take_ignored
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)
        raised = None  # It refers to this frame.
