"""Calls that several tests make, or that many processes run.

A process that runs a function of a test's own module imports that module first, and pytest with it.
"""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from distribute_challenge import compute_this


@compute_this
def wait_for(path: str) -> str:
    """Run until a file exists."""
    Path(path + ".begun").touch()
    while not os.path.exists(path):
        time.sleep(0.005)
    return "done"


@compute_this
def meet(folder: str, number: int) -> tuple[int, int]:
    """Wait until this many calls run at the same time; return this process and its parent."""
    Path(folder, str(os.getpid())).touch()
    deadline = time.monotonic() + 20
    while len(os.listdir(folder)) < number:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{os.listdir(folder)} came")
        time.sleep(0.005)
    return os.getpid(), os.getppid()


@compute_this
def process_of(number: int) -> tuple[int, int]:
    return number, os.getpid()


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
