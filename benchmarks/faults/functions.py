"""The functions that every system runs.

Each execution first appends a line to a file, so that all executions are counted.
"""

import os
import time

__all__ = ["die", "endless", "work"]


def work(ledger: str, number: int, seconds: float = 0.0) -> int:
    """Sleep, and return the number."""
    _note(ledger, number)
    time.sleep(seconds)
    return number


def die(ledger: str, number: int) -> int:
    """End the process that runs the call, as a crash in C code does."""
    _note(ledger, number)
    os._exit(1)


def endless(ledger: str, number: int) -> int:
    """Count for hours in C code, which nothing in Python can interrupt."""
    _note(ledger, number)
    return sum(range(10**12)) - number


def _note(ledger: str, number: int) -> None:
    # One write to a file opened for appending: lines of several processes do not mix, and a line
    # stays if the process is killed.
    file = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, f"{number} {os.getpid()}\n".encode())
    finally:
        os.close(file)
