"""The functions that every system runs; each execution begins with a line in a file, so that none
goes uncounted.
"""

import os
import time

__all__ = ["die", "endless", "work"]


def work(ledger: str, number: int, seconds: float = 0.0) -> int:
    """Take a while, and return the number."""
    _note(ledger, number)
    time.sleep(seconds)
    return number


def die(ledger: str, number: int) -> int:
    """End the process that runs it, as a crash in C code does."""
    _note(ledger, number)
    os._exit(1)


def endless(ledger: str, number: int) -> int:
    """Count in C code, for hours: nothing in Python can interrupt it."""
    _note(ledger, number)
    return sum(range(10**12)) - number


def _note(ledger: str, number: int) -> None:
    # One write to a file opened for appending: lines of several processes do not mix, and a kill
    # does not take it back.
    file = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, f"{number} {os.getpid()}\n".encode())
    finally:
        os.close(file)
