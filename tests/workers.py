"""Real workers, started as users start them."""

import sys
from contextlib import AbstractContextManager
from pathlib import Path

from tests.processes import Program, program

__all__ = ["start_worker"]


def start_worker(
    url: str, folder: Path, *, name: str = "worker", processes: int = 1, **variables: str
) -> AbstractContextManager[Program]:
    """A worker, for a ``with`` block; it may not be ready when that begins."""
    command = [
        sys.executable,
        "-m",
        "distribute_challenge",
        "worker",
        "--broker",
        url,
        "-c",
        str(processes),
        "-n",
        name,
    ]
    return program(command, folder, **variables)
