"""Keeps the last lines of a child process in a small file, which outlives the child.

A process that is killed cannot report what it was doing. So each child of a worker also writes its
log lines and prints into a ring of slots in a file that is mapped into memory. The lines are in the
file even if the child is killed, and no line costs a system call. Python's fault handler writes the
traceback of a crash in C code into a second file. The worker's main process reads both when the
child has died.

The files lie in a private folder, which the worker removes at its end. The folder of a worker that
was killed is removed by the next worker that starts.
"""

import contextlib
import faulthandler
import itertools
import logging
import mmap
import os
import secrets
import struct
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from distribute_challenge.execution import run as execution
from distribute_challenge.execution.output import OutputLog, WorkerHandler
from distribute_challenge.log import call_formatter
from distribute_challenge.owned_folder import OwnerLock, prefix, remove, sweep

__all__ = ["Records", "record_this_process"]

#: The folder for the children's files; a worker's main process sets it for its children.
FOLDER_VARIABLE: Final = "DISTRIBUTE_CHALLENGE_RECORDS"

LINES = 20
LINE_SIZE = 500  # Bytes kept of a line.
_HEADER: Final = struct.Struct("<QH")  # Number of the line, from 1 on, and its length.
_SLOT: Final = _HEADER.size + LINE_SIZE


class _Ring:
    """A ring of slots for lines, in a file that is mapped into memory; `_Recorder` writes it.

    Args:
        path: Path of the file.
    """

    def __init__(self, path: Path) -> None:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            # Written, and not made longer: where the disk is full, this is an error, and the first
            # line would be a SIGBUS.
            rest = memoryview(bytes(LINES * _SLOT))
            while rest:  # Where it has room for some of it, that is written first.
                rest = rest[os.write(file, rest) :]
            self._slots = mmap.mmap(file, LINES * _SLOT)
        except OSError:
            path.unlink()
            raise
        finally:
            os.close(file)
        self._written = 0

    def write(self, text: str) -> None:
        line = text.encode(errors="replace")[:LINE_SIZE]
        start = self._written % LINES * _SLOT
        self._written += 1
        self._slots[start : start + _HEADER.size + len(line)] = (
            _HEADER.pack(self._written, len(line)) + line
        )


class _Recorder(WorkerHandler):
    """A handler of `logging` that writes lines into a ring."""

    def __init__(self, ring: _Ring) -> None:
        super().__init__()
        self.setFormatter(call_formatter())
        self._ring = ring

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:
            # As every handler of `logging` does, so that the call gets no error.
            self.handleError(record)
        else:
            self._ring.write(line)


def record_this_process(output: OutputLog) -> None:
    """Record the lines and the crash of this child process from now on, if its worker wants them.

    Args:
        output: Takes what the child prints; its lines are recorded like those of `logging`.
    """
    if folder := os.environ.get(FOLDER_VARIABLE):
        # A worker that ends removes its folder, while its last children may still be starting. And
        # if the disk is full, calls run without a record.
        with contextlib.suppress(OSError):
            ring = _Ring(Path(folder, f"{os.getpid()}.log"))
            logging.getLogger().addHandler(_Recorder(ring))
            output.add(_Recorder(ring))
            # Never closed, as the fault handler writes to it when the process crashes.
            faulthandler.enable(open(Path(folder, f"{os.getpid()}.crash"), "w"))  # noqa: SIM115


class Records:
    """The folder with the records of a worker's children; the main process's `CrashReporter` reads it.

    Args:
        within: A private folder whose owner removes it with all its content; None: the worker makes
            and removes a folder of its own.

    Attributes:
        folder: The folder with the records.
    """

    def __init__(self, within: Path | None = None) -> None:
        self._lock: OwnerLock | None = None
        if within is None:
            root = Path(tempfile.gettempdir())
            sweep(root)
            self.folder = root / f"{prefix()}worker-{secrets.token_hex(8)}"
        else:
            self.folder = within / "records"
        self.folder.mkdir(mode=0o700, exist_ok=True)
        if within is None:
            self._lock = OwnerLock.take(self.folder, wait=True)
        os.environ[FOLDER_VARIABLE] = str(self.folder)

    def lines(self, pid: int) -> list[str]:
        """Return the last lines of a process, oldest first."""
        try:
            slots = (self.folder / f"{pid}.log").read_bytes()
        except OSError:
            return []
        found = []
        for start in range(0, len(slots), _SLOT):
            number, length = _HEADER.unpack_from(slots, start)
            found.append((number, slots[start + _HEADER.size :][:length].decode(errors="replace")))
        return [line for number, text in sorted(found) if number for line in text.splitlines()][
            -LINES:
        ]

    def crash(self, pid: int) -> str:
        """Return what Python's fault handler wrote, down to the frame where the call began.

        Empty if the process did not crash.
        """
        try:
            text = (self.folder / f"{pid}.crash").read_text(errors="replace")
        except OSError:
            return ""
        reason, _, threads = text.partition("\n\n")
        _, current, stack = threads.partition("Current thread ")
        frames = itertools.takewhile(
            lambda line: f'"{execution.__file__}"' not in line, stack.splitlines()
        )
        return "\n".join([reason, current + next(frames, ""), *frames]).strip()

    def forget(self, pids: Iterable[int]) -> None:
        """Remove the records of processes."""
        for pid in pids:
            for kind in "log", "crash":
                (self.folder / f"{pid}.{kind}").unlink(missing_ok=True)

    def close(self) -> None:
        """Remove the folder, unless it lies in another owner's folder."""
        os.environ.pop(FOLDER_VARIABLE, None)
        if self._lock is not None and self._lock.mine:
            remove(self.folder, self._lock)
            self._lock = None
