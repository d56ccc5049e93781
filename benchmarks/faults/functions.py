"""The functions that every system runs.

Each execution is first noted in a diary, so that all executions are counted.
"""

import os
import time

from benchmarks.rig.diary import note

__all__ = ["die", "endless", "work"]


def work(diary: str, number: int, seconds: float = 0.0) -> int:
    """Sleep, and return the number."""
    note(diary, str(number))
    time.sleep(seconds)
    return number


def die(diary: str, number: int) -> int:
    """End the process that runs the call, as a crash in C code does."""
    note(diary, str(number))
    os._exit(1)


def endless(diary: str, number: int) -> int:
    """Count for hours in C code, which nothing in Python can interrupt."""
    note(diary, str(number))
    return sum(range(10**12)) - number
