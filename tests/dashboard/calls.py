"""Calls of the tests of the dashboard."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from distribute_challenge import compute_this

__all__ = ["die", "len_of", "refuse", "square", "total", "wait"]


@compute_this
def square(x: int) -> int:
    return x * x


@compute_this
def refuse(x: int) -> int:
    raise ValueError(f"<b>no {x}</b>")


@compute_this
def len_of(text: str) -> int:
    return len(text)


@compute_this
def total(values: list[Any]) -> int:
    return len(values)


@compute_this
def wait(path: str | Path) -> str:
    while not os.path.exists(path):
        time.sleep(0.005)
    return "done"


@compute_this(at_most_once=True)
def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
