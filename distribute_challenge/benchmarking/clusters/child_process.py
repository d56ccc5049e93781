"""A program that the benchmark starts and waits for."""

import contextlib
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from distribute_challenge.core.condition import Event

__all__ = ["ChildProcess"]

LOOK_EVERY = 0.1  # Seconds between two looks at the output, and at the clock.
START_WITHIN = 30.0  # Seconds; it takes hundredths.
END_WITHIN = 10.0  # Seconds that the program has to end after SIGTERM.
LAST_LINES = 20


class ChildProcess:
    """A running program, in a session of its own and with its output in a file.

    Args:
        command: Command line.
        output: File to which the program's output is appended.
        environment: Environment variables in addition to this process's.
        folder: Folder in which the program runs; None: that of this process.
        keep: Descriptors of this process's open files that the program inherits.

    Guarantees:

    - Ctrl+C in the terminal does not reach the program, so it can finish taking down a cluster even
      if the user presses Ctrl+C again.
    - When Ctrl+C interrupts the start or `wait`, the program and what it started are ended before
      `KeyboardInterrupt` reaches the caller.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        output: Path,
        environment: Mapping[str, str],
        folder: Path | None = None,
        keep: Sequence[int] = (),
    ) -> None:
        self._output = output
        self._begin = output.stat().st_size if output.exists() else 0
        self._shown = self._begin
        begun = Event()
        failures: list[BaseException] = []

        def begin() -> None:
            try:
                with output.open("ab") as file:
                    self._process = subprocess.Popen(
                        command,
                        cwd=folder,
                        env={**os.environ, **environment},
                        stdin=subprocess.DEVNULL,
                        stdout=file,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                        pass_fds=keep,
                    )
            except BaseException as error:
                failures.append(error)
            finally:
                begun.set()

        # Ctrl+C in the middle of the start would leave a program that this process does not know.
        # It is raised in the main thread alone, so another thread starts the program.
        try:
            threading.Thread(target=begin, name="start").start()
            begun.wait()
        except BaseException:
            begun.wait(START_WITHIN)
            if hasattr(self, "_process"):
                self.end()
            raise
        if failures:
            raise failures[0]

    @property
    def pid(self) -> int:
        """Id of the program's process, and of its process group."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Exit code of the program; None while it runs."""
        return self._process.poll()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the program's process group; do nothing if the group is gone."""
        # macOS raises PermissionError for a group that is gone.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def wait(self, *, within: float = math.inf, show: bool = False) -> int:
        """Wait for the program to end.

        Args:
            within: Seconds that the program has.
            show: Whether to copy its output to standard error meanwhile.

        Returns:
            The exit code.

        Raises:
            TimeoutError: The program took longer, and has been ended.
        """
        deadline = time.monotonic() + within
        try:
            while True:
                code = self._look()
                if show:
                    self._show()
                if code is not None:
                    return code
                if time.monotonic() > deadline:
                    raise TimeoutError(f"it did not end within {within:g} s")
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """End the program and what it started, with SIGTERM first; do nothing if it has ended."""
        if self._process.poll() is not None:
            return
        try:
            self.send(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(END_WITHIN)
        finally:  # Without the wait if Ctrl+C comes a second time.
            self.send(signal.SIGKILL)
            self._process.wait()

    def text(self) -> str:
        """Return all that the program has written."""
        with self._output.open("rb") as file:
            file.seek(self._begin)
            return file.read().decode(errors="replace")

    def last_lines(self) -> list[str]:
        """Return the last lines that the program has written."""
        return self.text().splitlines()[-LAST_LINES:]

    def _look(self) -> int | None:
        try:
            return self._process.wait(LOOK_EVERY)
        except subprocess.TimeoutExpired:
            return None

    def _show(self) -> None:
        with self._output.open("rb") as file:
            file.seek(self._shown)
            new = file.read()
        self._shown += len(new)
        sys.stderr.write(new.decode(errors="replace"))
        sys.stderr.flush()
