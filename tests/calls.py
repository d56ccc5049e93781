"""Calls that several tests make, or that many processes run.

A process that runs a function of a test's own module imports that module first, and pytest with it.
"""

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distribute_challenge import compute_this


@compute_this
def wait_for(path: str) -> str:
    """Run until a file exists."""
    Path(path + ".begun").touch()
    while not os.path.exists(path):
        time.sleep(0.005)
    return "done"


async def later(number: int) -> int:
    """Return the absolute value, as `abs` does, when it is awaited."""
    return abs(number)


@compute_this
def meet(folder: str, number: int) -> tuple[int, int]:
    """Wait until this many calls run at the same time; return this process and its parent."""
    Path(folder, str(os.getpid())).touch()
    deadline = time.monotonic() + 60
    while len(os.listdir(folder)) < number:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{os.listdir(folder)} came")
        time.sleep(0.005)
    return os.getpid(), os.getppid()


@compute_this
def process_id(x: Any = None) -> int:
    return os.getpid()


@compute_this
def process_of(number: int) -> tuple[int, int]:
    return number, os.getpid()


def note(path: str, name: Any) -> Any:
    """Write a name into a file."""
    with open(path, "a") as file:
        file.write(f"{name} ")
    return name


def die(path: str, number: int) -> int:
    """Write a number into a file, and die of every tenth."""
    note(path, number)
    if number % 10 == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def wait_in_process(door: str) -> int:
    """Run until a file exists; the process, which also stands in the name of another file."""
    Path(f"{door}.{os.getpid()}").touch()
    while not os.path.exists(door):
        time.sleep(0.01)
    return os.getpid()


@compute_this
def process_after(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


@compute_this
def die_if(number: int, fatal: int) -> int:
    if number == fatal:
        os._exit(3)
    return number


def trace(number: int, runs: Path, gate: Path | None = None) -> int:
    """Leave a file for this run, and wait until another exists."""
    (runs / f"{number} {os.getpid()} {time.time()}").touch()
    while gate is not None and not gate.exists():
        time.sleep(0.01)
    return number


@compute_this
def leave(x: int) -> int:
    """End the process with code 3, of some numbers."""
    if x % 33 == 7:
        os._exit(3)
    return x


@compute_this
def double(x: Any) -> Any:
    return x * 2


@compute_this
def who(x: Any, seconds: float = 0.0) -> tuple[int, float]:
    """The main process of the worker that adds up an array, and the sum."""
    time.sleep(seconds)
    return os.getppid(), float(x.sum())


@compute_this
def place(number: int) -> tuple[int, str]:
    """Some work, and which machine did it."""
    time.sleep(0.01)
    return number, socket.gethostname()


@compute_this
def surroundings() -> dict[str, object]:
    """What a function finds, and may do, where it runs."""

    def allowed(action: Callable[[], object]) -> bool:
        try:
            action()
        except OSError:
            return False
        return True

    return {
        "user": os.getuid(),
        "home": os.path.expanduser("~"),
        "threads": os.environ["OMP_NUM_THREADS"],
        "writes here": allowed(Path("file").touch),
        "writes elsewhere": allowed(Path("/opt/venv/file").touch) or allowed(Path("/file").touch),
        "becomes root": allowed(lambda: os.setuid(0)),
    }


STATE: dict[str, Any] = {}


def initialise(folder: str, name: str) -> None:
    """Note the process in a file, and set something for `state`."""
    with open(Path(folder, f"{name}.{os.getpid()}"), "a") as file:
        file.write("x")
    STATE["name"] = name


def state(_: Any = None) -> tuple[int, str | None]:
    return os.getpid(), STATE.get("name")


def name_of_state() -> str | None:
    return STATE.get("name")


def read(path: str) -> bytes:
    return Path(path).read_bytes()
