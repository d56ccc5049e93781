"""The last lines of a process, kept where they outlive it: in a small file that it has mapped into
memory.

A process that is killed cannot say what it was doing. So each child of a worker writes its log
lines, prints among them, into a ring of slots as well; what it has written is in the file whatever
becomes of it, and no line costs a system call. Python's own fault handler writes the traceback of a
crash in C code into a second file. The worker's main process reads both when the child has died.

The files lie in a private folder, which goes with the worker; what a killed worker left is swept by
the next one to start.
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

#: Where children put their files; set between processes of one worker.
FOLDER_VARIABLE: Final = "DISTRIBUTE_CHALLENGE_RECORDS"

LINES = 20
LINE_SIZE = 500  # Bytes kept of a line.
_HEADER: Final = struct.Struct("<QH")  # Number of the line, from 1 on, and its length.
_SLOT: Final = _HEADER.size + LINE_SIZE


class _Ring:
    """A ring of slots for lines, in a file that is mapped into memory."""

    def __init__(self, path: Path) -> None:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            # Written, and not made longer: where the disk is full, this is an error, and the first
            # line would be a SIGBUS.
            os.write(file, bytes(LINES * _SLOT))
            self._slots = mmap.mmap(file, LINES * _SLOT)
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
    """Writes lines into a ring."""

    def __init__(self, ring: _Ring) -> None:
        super().__init__()
        self.setFormatter(call_formatter())
        self._ring = ring

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:
            self.handleError(
                record
            )  # As every handler of `logging` does: it is no error of the call.
        else:
            self._ring.write(line)


def record_this_process(output: OutputLog) -> None:
    """For a child: keep its lines and its crash from now on, if its worker wants them.

    Args:
        output: What the child prints; its lines count as well as those of `logging`.
    """
    if folder := os.environ.get(FOLDER_VARIABLE):
        # A worker that ends removes its folder while its last children may still be starting; and
        # where the disk is full, calls run without a record of them.
        with contextlib.suppress(OSError):
            ring = _Ring(Path(folder, f"{os.getpid()}.log"))
            logging.getLogger().addHandler(_Recorder(ring))
            output.add(_Recorder(ring))
            # Never closed: it is for the moment when nothing else works any more.
            faulthandler.enable(open(Path(folder, f"{os.getpid()}.crash"), "w"))  # noqa: SIM115


class Records:
    """For the main process: the folder with the records of its children.

    Args:
        within: Somebody's private folder, who removes it with all that is in it; None: one of its
            own.
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
        """The last lines of a process, the oldest first."""
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
        """What Python's fault handler wrote as it died, down to where the call began; nothing, if
        it did not crash.
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
        """Remove the folder, unless somebody else does."""
        os.environ.pop(FOLDER_VARIABLE, None)
        if self._lock is not None and self._lock.mine:
            remove(self.folder, self._lock)
            self._lock = None
