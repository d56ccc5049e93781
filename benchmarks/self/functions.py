"""The functions that run on workers.

They belong to a module of a user's project, as those of most users do.
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
    """Take so long without keeping a core busy, so that more workers than cores can be measured."""
    if seconds:
        time.sleep(seconds)


@compute_this()
def timed_pause(seconds: float) -> float:
    """The same, for whoever has to know which call a result belongs to."""
    time.sleep(seconds)
    return seconds


@compute_this()
def process() -> int:
    """Tell which process ran the call, late enough that each gets some."""
    time.sleep(0.05)
    return os.getpid()


@compute_this()
def item(array: Any, index: int) -> float:
    """Read one number of a large array."""
    return float(array[index])


@compute_this()
def spill(lines: int) -> float:
    """Print so many lines of a hundred bytes; the seconds that it took."""
    text = "x" * 99
    began = time.perf_counter()
    for _ in range(lines):
        print(text)
    return time.perf_counter() - began


@compute_this()
def tell(lines: int) -> None:
    """Print so many lines, each of which tells when it was printed."""
    for _ in range(lines):
        print(time.time())
