"""Ctrl+C and the other signals that ask a program to end: only the first one interrupts it."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["interruptible"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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
    interrupted = False

    def take(number: int, frame: Any) -> None:
        nonlocal interrupted
        if interrupted:
            print(words, file=sys.stderr)
            return
        interrupted = True
        raise KeyboardInterrupt

    before = {number: signal.signal(number, take) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
