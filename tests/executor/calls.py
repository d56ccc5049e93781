"""Functions that the tests of the executor submit; a process imports this module with them."""

import os
import time
from pathlib import Path


def fail_to_initialise(door: str) -> None:
    """Wait until a file exists, and fail."""
    wait_for(door)
    raise FileNotFoundError("weights")


def wait_for(door: str, begun: str = "") -> str:
    """Run until a file exists."""
    if begun:
        Path(begun).touch()
    while not os.path.exists(door):
        time.sleep(0.005)
    return door


def count_running(folder: str, number: int) -> int:
    """Return how many calls run at the same time at the beginning of this one."""
    path = Path(folder, str(number))
    path.touch()
    running = len(os.listdir(folder))
    time.sleep(0.01)
    path.unlink()
    return running


def die(number: int) -> int:
    """End the process of every tenth call."""
    if number % 10 == 7:
        os._exit(3)
    return number


def parse(text: str) -> int:
    return int(text)


async def double(x: int) -> int:
    return 2 * x
