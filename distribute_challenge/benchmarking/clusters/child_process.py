"""A program that the benchmark starts and waits for, its output in a file."""

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

__all__ = ["ChildProcess"]

LOOK_EVERY = 0.1  # Seconds between two looks at its output, and at the clock.
START_WITHIN = 5.0  # Seconds; it takes hundredths.
END_WITHIN = 10.0  # Seconds that it gets to end when it is told to.
LAST_LINES = 20


class ChildProcess:
    """A program in a session of its own.

    Args:
        command: What to start.
        output: File that gets what it writes, behind what is there.
        environment: Variables on top of this process's.
        folder: Where it runs; None: where this process does.
        keep: Files of this process that it keeps open.

    Guarantees:

    - Ctrl+C in the terminal does not reach it, so it can take down a cluster while the user is
      impatient.
    - It is not lost: when Ctrl+C ends its start or `wait`, it and what it started have been ended
      first.
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
        begun = threading.Event()
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

        # Ctrl+C in the middle of this would leave a program that nobody knows of; it comes to the
        # main thread alone.
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
        """Its number, and that of its process group."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.poll()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it and to what it started; nothing happens if nobody of them is left."""
        # macOS says that the other way.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def wait(self, *, within: float = math.inf, show: bool = False) -> int:
        """Wait for its end.

        Args:
            within: Seconds that it has.
            show: Copy what it writes to standard error meanwhile.

        Returns:
            Its exit code.

        Raises:
            TimeoutError: It took longer, and has been ended.
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
        """End it and what it started, gently first; nothing happens if it has ended."""
        if self._process.poll() is not None:
            return
        try:
            self.send(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(END_WITHIN)
        finally:  # At once when Ctrl+C comes a second time.
            self.send(signal.SIGKILL)
            self._process.wait()

    def text(self) -> str:
        """All that it has written."""
        with self._output.open("rb") as file:
            file.seek(self._begin)
            return file.read().decode(errors="replace")

    def last_lines(self) -> list[str]:
        """The end of what it has written."""
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
