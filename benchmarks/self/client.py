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
    """Such a process, from outside.

    Args:
        address: The broker.
        calls: How many it submits.
        seconds: That each of them takes.
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
        """Wait for its first call."""
        assert self._read() == "ready"

    def go(self) -> None:
        """Let it begin."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def seconds(self) -> float:
        """Seconds that its calls took, waited for."""
        return float(self._read())

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Closes the pipes too; a client that still waits for its line ends with it.
        self._process.communicate()


def main(address: str, calls: int, seconds: float) -> None:
    """Be that process."""
    set_default_backend(CeleryExecutionBackend(address))
    by_submit([seconds])
    print("ready", flush=True)
    sys.stdin.readline()
    print(by_submit([seconds] * calls), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
