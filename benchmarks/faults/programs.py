"""Programs that a fault kills, freezes or wakes, with all processes below them."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence

import psutil

from benchmarks.sessions.services import FOLDER

__all__ = ["Program"]


class Program:
    """A program in a process group of its own, which writes to a log in the folder of the row.

    Args:
        name: Name of the log.
        command: Command line.
        environment: Environment variables in addition to this process's.
        talks: Whether standard input and output are pipes, for orders and answers.

    Attributes:
        was_killed: Whether `kill` was called; if not, a program that has ended did so by itself.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        talks: bool = False,
    ) -> None:
        self.name = name
        self.was_killed = False
        with (FOLDER / f"{name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
                stdout=subprocess.PIPE if talks else log,
                stderr=log,
                bufsize=0,
                env={**os.environ, **environment},
                start_new_session=True,
            )

    def is_running(self) -> bool:
        """Return whether the first process lives, frozen or not."""
        return self.process.poll() is None

    def contains(self, pid: int) -> bool:
        """Return whether a process is the first one, or one below it."""
        return any(each.pid == pid for each in self._processes())

    def kill(self) -> None:
        """Kill the program and all processes below it, and wait until the first one is gone."""
        self.was_killed = True
        self._signal(signal.SIGKILL)
        self.process.wait()

    def freeze(self) -> None:
        """Stop the program and all processes below it, as a machine that swaps or sleeps does."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let stopped processes go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        below = self._processes()
        # The group first, all at once: so none of its processes can start another one, or see that
        # another one has ended.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
        for process in below:
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)

    def _processes(self) -> list[psutil.Process]:
        try:
            first = psutil.Process(self.process.pid)
            return [first, *first.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []
