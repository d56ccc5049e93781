"""Ctrl+C, and what else ends a program politely: once it interrupts, after that it waits for the
tidying up.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["interruptible"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interruptible(words: str) -> Iterator[None]:
    """Raise `KeyboardInterrupt` in the block at the first of Ctrl+C, SIGTERM and SIGHUP; answer the
    others with words.

    For the main thread, which alone may set what a signal does.

    Args:
        words: What to tell somebody who presses Ctrl+C again.

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
