"""Functions that the tests of the executor submit; a process imports this module with them."""

import os
import time
from pathlib import Path
from typing import Any

STATE: dict[str, Any] = {}


def initialise(folder: str, name: str) -> None:
    """Note the process in a file, and set something for `state`."""
    with open(Path(folder, f"{name}.{os.getpid()}"), "a") as file:
        file.write("x")
    STATE["name"] = name


def state(_: Any = None) -> tuple[int, str | None]:
    return os.getpid(), STATE.get("name")


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
