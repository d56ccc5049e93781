"""Standard streams for programs that go on when the reader is gone, or the disk is full.

    print() ──► SteadyStream ──► the file number it had
                     └─ refused: the lines are lost; the other stream says so, once

`work_without_streams` puts such streams in the place of the standard ones, for commands that run
for long.
"""

import contextlib
import io
import os
import sys
from typing import Any, Final, TextIO

from distribute_challenge.execution.output import write_whole

__all__ = ["SteadyStream", "work_without_streams"]

_NAMES: Final = {1: "standard output", 2: "standard error"}


class SteadyStream(io.TextIOWrapper):
    """A text stream that loses what cannot be written.

    The other one of the two standard streams says so at the first loss. When there is room again,
    as on a disk, a line says how much was lost.

    Args:
        descriptor: 1 for standard output, 2 for standard error.
        before: The stream that it stands in for; None: there was none.

    Examples:
        >>> stream = SteadyStream(1, sys.stdout)
        >>> stream.fileno()
        1
    """

    def __init__(self, descriptor: int, before: TextIO | None) -> None:
        super().__init__(
            _Bytes(descriptor),
            encoding=getattr(before, "encoding", None) or "utf-8",
            errors=getattr(before, "errors", None) or "backslashreplace",
            write_through=True,
        )
        self.mode = "w"  # type: ignore[misc] # a file has it, and some programs ask for it


class _Bytes(io.BufferedIOBase):
    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.name = f"<{_NAMES[descriptor]}>"
        self._descriptor = descriptor
        self._lost = 0
        self._has_told = False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: Any) -> int:
        try:
            if self._lost:
                write_whole(self._descriptor, b"%d bytes of this output are lost\n" % self._lost)
                self._lost = 0
            write_whole(self._descriptor, data)
        except OSError as error:
            self._lost += len(data)
            self._tell(error)
        return len(data)

    def _tell(self, error: OSError) -> None:
        if not self._has_told:
            self._has_told = True
            text = f"{_NAMES[self._descriptor]} cannot be written, and is lost: {error.strerror}\n"
            with contextlib.suppress(OSError):
                write_whole(3 - self._descriptor, text.encode())


def work_without_streams() -> None:
    """Have this process work on when what it prints cannot be written. Safe to call again.

    Streams that were closed when the process began lead nowhere from now on, so that no connection
    gets their file number. Streams that something else has put in the place of the standard ones
    stay.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # It gets the lowest number that is free, which is this one. Programs that this one
            # starts have it, too.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is getattr(sys, f"__{name}__") and not isinstance(stream, SteadyStream):
            steady = SteadyStream(descriptor, stream)
            setattr(sys, name, steady)
            setattr(sys, f"__{name}__", steady)
