"""A file for what does not fit into memory.

It has no name in the file system: the kernel removes it with the last process that has it open,
also when that process is killed. So there is nothing to find and remove later.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from mmap import mmap
from types import TracebackType
from typing import IO, Self, TypeAlias

from distribute_challenge.core.outcome import add_note

__all__ = ["Piece", "Spill"]

#: Where some bytes are: their offset, and how many they are.
Piece: TypeAlias = tuple[int, int]


class Spill:
    """A temporary file of one call, in the folder of temporary files; made when first written to.

    A context manager: after the block, the file is gone.

    Examples:
        >>> with Spill() as spill:
        ...     run = spill.write([b"one", b"two"])
        ...     list(spill.read(run))
        [b'one', b'two']
    """

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def append(self, data: bytes | bytearray) -> Piece:
        """Write some bytes at the end, and return where they are.

        Raises:
            OSError: There is no room; a note says what to do.
        """
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - `__exit__` closes it
            offset, rest = self.size, memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            add_note(
                error,
                f"map_reduce keeps what does not fit into memory in {tempfile.gettempdir()}: set "
                f"TMPDIR on the workers to a folder with more room",
            )
            raise
        self.size += len(data)
        return offset, len(data)

    def write(self, blocks: Iterable[bytes]) -> Sequence[Piece]:
        """Write blocks one after the other, and return where they are, for `read`."""
        return [self.append(block) for block in blocks]

    def read(self, run: Iterable[Piece]) -> Iterator[bytes]:
        """Yield the blocks that `write` has written; one is in memory at a time."""
        assert self._file is not None  # Something was written.
        for offset, size in run:
            yield os.pread(self._file.fileno(), size, offset)

    def mapped(self) -> mmap:
        """Return all bytes as memory, which stays when the file is gone."""
        assert self._file is not None  # Something was written.
        return mmap(self._file.fileno(), 0)
