"""Calls that several tests make."""

import os
import time
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
    """Wait until as many calls as given run at the same time; the process that ran this one, and the one above it."""
    Path(folder, str(os.getpid())).touch()
    deadline = time.monotonic() + 20
    while len(os.listdir(folder)) < number:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{os.listdir(folder)} came")
        time.sleep(0.005)
    return os.getpid(), os.getppid()
