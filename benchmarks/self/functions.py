"""The functions that run on workers.

For the library this module is one of a user's project, as the modules of most users' functions are.
"""

import os
import time
from typing import Any

from distribute_challenge import compute_this

__all__ = ["fail", "item", "pause", "process", "same", "spill", "tell", "timed_pause"]


@compute_this()
def same(value: Any) -> Any:
    """Do nothing."""
    return value


@compute_this()
def fail(value: Any) -> Any:
    """Raise, in one line."""
    raise ValueError(value)


@compute_this()
def pause(seconds: float) -> None:
    """Sleep, and keep no core busy, so that more workers than cores can be measured."""
    if seconds:
        time.sleep(seconds)


@compute_this()
def timed_pause(seconds: float) -> float:
    """Sleep, and return the seconds, so that the caller can tell results of calls apart."""
    time.sleep(seconds)
    return seconds


@compute_this()
def process() -> int:
    """Return the id of the process, after a pause so that each worker process gets a call."""
    time.sleep(0.05)
    return os.getpid()


@compute_this()
def item(array: Any, index: int) -> float:
    """Read one number of a large array."""
    return float(array[index])


@compute_this()
def spill(lines: int) -> float:
    """Print lines of 100 bytes, and return the seconds that this took."""
    text = "x" * 99
    began = time.perf_counter()
    for _ in range(lines):
        print(text)
    return time.perf_counter() - began


@compute_this()
def tell(lines: int) -> None:
    """Print lines, each with the time at which it was printed."""
    for _ in range(lines):
        print(time.time())
