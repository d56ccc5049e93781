"""`ClientProcess`: a client in a process of its own, which a benchmark tells what to do."""

import subprocess
import sys
from typing import Self

from benchmarks.programs import TOP

__all__ = ["ClientProcess"]


class ClientProcess:
    """A client in a process of its own, which this object starts and ends.

    The process prints ``ready`` once a first call is back. Then it reads and writes lines.

    Args:
        module: The module that it runs.
        arguments: The module's arguments.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=TOP,
        )

    def wait_until_ready(self) -> None:
        """Wait until the client's first call is back."""
        if (said := self.read()) != "ready":
            raise RuntimeError(f"a client did not start; it said {said!r}")

    def write(self, line: str) -> None:
        """Send the client a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def read(self) -> str:
        """Wait for a line of the client."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # This closes the pipes too, which ends a client that still waits for its line.
        self._process.communicate()
