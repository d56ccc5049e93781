"""A client in a process of its own, that can be killed and interrupted."""

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from distribute_challenge.benchmarking.clusters.child_process import ChildProcess
from distribute_challenge.errors import ClusterStartError

__all__ = ["ClientProcess"]

ASK_EVERY = 0.01  # Seconds.
CHECKOUT = Path(__file__).parents[2]


class ClientProcess:
    """A Python program that makes calls, with what it writes in a file.

    Args:
        command: Behind the name of the interpreter: a script's path, or ``-m`` and a module, and
            arguments.
        output: The file.
        environment: Variables that it gets: the broker's address and the secret, if it is not to
            have a cluster of its own.

    Guarantees: It can import this package, whatever folder it runs in.
    """

    def __init__(
        self, command: Sequence[str], *, output: Path, environment: Mapping[str, str]
    ) -> None:
        path = environment.get("PYTHONPATH") or os.environ.get("PYTHONPATH")
        self._process = ChildProcess(
            [sys.executable, *command],
            output=output,
            environment={
                "PYTHONUNBUFFERED": "1",
                **environment,
                "PYTHONPATH": f"{path}{os.pathsep}{CHECKOUT}" if path else str(CHECKOUT),
            },
            folder=output.parent,
        )

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def output(self) -> str:
        """What it has written so far."""
        return self._process.text()

    def wait_for(self, text: str, *, within: float) -> None:
        """Wait until it has written a text.

        Args:
            text: The text.
            within: Seconds that it has.

        Raises:
            ClusterStartError: It has not in time, or ended before; with its last lines.
        """
        deadline = time.monotonic() + within
        while text not in self.output:
            if self._process.code is not None or time.monotonic() > deadline:
                lines = "\n".join(f"    {line}" for line in self._process.last_lines())
                raise ClusterStartError(
                    f"the client did not write {text!r} (exit code {self._process.code}); its last "
                    f"lines:\n{lines}"
                )
            time.sleep(ASK_EVERY)

    def wait(self, *, within: float) -> int:
        """Wait for its end; its exit code.

        Raises:
            TimeoutError: It took longer, and has been ended.
        """
        return self._process.wait(within=within)

    def interrupt(self) -> None:
        """As Ctrl+C in its terminal does."""
        self._process.send(signal.SIGINT)

    def kill(self) -> None:
        """Kill it."""
        self._process.send(signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        """End it, if it runs."""
        self._process.end()
