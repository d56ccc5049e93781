"""Programs that faults befall: killed, frozen, woken, with all processes below them."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence

import psutil

from benchmarks.peers.services import FOLDER

__all__ = ["Program"]


class Program:
    """A program in a process group of its own, which writes to a log in the folder of the row.

    Args:
        name: Of its log.
        command: Its command line.
        environment: Variables beside those that are set.
        talks: Whether standard input and output are pipes, for orders and answers.

    Attributes:
        was_killed: By `kill`; one that has ended without it did so by itself.
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
        """Whether its first process lives, frozen or not."""
        return self.process.poll() is None

    def contains(self, pid: int) -> bool:
        """Whether a process is its first one, or one below it."""
        return any(each.pid == pid for each in self._processes())

    def kill(self) -> None:
        """End it by SIGKILL, with all processes below it, and wait until its first one is gone."""
        self.was_killed = True
        self._signal(signal.SIGKILL)
        self.process.wait()

    def freeze(self) -> None:
        """Stop it and all processes below it, as a machine that swaps or sleeps does."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let them go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        below = self._processes()
        # The group first, all at once: nobody in it is left to start another process, or to note
        # the end of one.
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
