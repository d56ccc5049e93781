"""A second client, which submits calls that all take the same time.

    python -m benchmarks.self.client ADDRESS CALLS SECONDS

The process prints ``ready`` once a first call is back, and waits for a line. Then it makes all
calls, and prints how many seconds they took.
"""

import subprocess
import sys
from pathlib import Path
from typing import Self

from benchmarks.self.uneven import by_submit
from distribute_challenge import set_default_backend
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend

__all__ = ["Client", "main"]

TOP = Path(__file__).parents[2]


class Client:
    """A second client, in a process that this object starts and controls.

    Args:
        address: Address of the broker.
        calls: How many calls the client submits.
        seconds: How long each call takes.
    """

    def __init__(self, address: str, calls: int, seconds: float) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.self.client", address, str(calls), str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=TOP,
        )

    def wait_until_ready(self) -> None:
        """Wait until the client's first call is back."""
        assert self._read() == "ready"

    def go(self) -> None:
        """Let the client begin."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def seconds(self) -> float:
        """Wait for all calls, and return how many seconds they took."""
        return float(self._read())

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # This closes the pipes too, which ends a client that still waits for its line.
        self._process.communicate()


def main(address: str, calls: int, seconds: float) -> None:
    """Make a first call, wait for a line, and then make and time all calls."""
    set_default_backend(CeleryExecutionBackend(address))
    by_submit([seconds])
    print("ready", flush=True)
    sys.stdin.readline()
    print(by_submit([seconds] * calls), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
