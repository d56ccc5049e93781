"""Memory that a worker's main process shares with its children, to cancel calls.

    main process --> edition, text: the calls to stop ---------> children, before each call
    main process <-- process id, message, number of the call <-- each child, in its own place

Reading the edition takes a tenth of a microsecond, and needs neither a pipe nor a lock.

Guarantees: only one process writes the text, and each place has only one writer. The edition is odd
while the text is being written; a reader that sees the edition change reads again.
"""

import json
import mmap
import os
import time
from collections.abc import Mapping
from typing import Any, Final
from zlib import crc32

__all__ = ["CancelFlags", "Place"]

_PLACES: Final = 4096  # Children of one worker; a guess that no machine runs more.
_TEXT: Final = 1_000_000  # Bytes; pages that are never written take no memory.
_WORD: Final = 8

Wanted = Mapping[str, Any]


class CancelFlags:
    """The shared memory; a worker's `CancelledCalls` writes it, and its children read it.

    It must be made before the children are forked.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, (2 + 3 * _PLACES) * _WORD + _TEXT)
        self._words = memoryview(self._memory)[: (2 + 3 * _PLACES) * _WORD].cast("q")
        self._text = memoryview(self._memory)[(2 + 3 * _PLACES) * _WORD :]

    @property
    def edition(self) -> int:
        """A number that changes with each `write`; 0 before the first."""
        return self._words[0]

    def write(self, content: Any) -> bool:
        """Write the text that all children are to read.

        Args:
            content: Anything that JSON can hold.

        Returns:
            False if it is too long; then nothing is changed.
        """
        text = json.dumps(content, separators=(",", ":")).encode()
        if len(text) > _TEXT:
            return False
        self._words[0] += 1
        self._text[: len(text)] = text
        self._words[1] = len(text)
        self._words[0] += 1
        return True

    def read(self) -> tuple[int, Any]:
        """Return the edition, and the content as given to `write`."""
        while True:
            edition = self._words[0]
            text = bytes(self._text[: self._words[1]])
            if edition % 2 == 0 and edition == self._words[0]:
                return edition, json.loads(text or b"{}")
            time.sleep(0.0001)

    def place(self, number: int) -> "Place":
        """Return the place of a child process, which must call this itself.

        Args:
            number: The child's index in its pool.
        """
        return Place(self._words, 2 + 3 * (number % _PLACES))

    def running(self, pid: int) -> tuple[int, int] | None:
        """Return what a child runs: the `mark` of its message, and the number of the call.

        Args:
            pid: The child's process id.

        Returns:
            None if the child has written nothing.
        """
        for start in range(2, 2 + 3 * _PLACES, 3):
            if self._words[start] == pid:
                return self._words[start + 1], self._words[start + 2]
        return None


class Place:
    """The part of a `CancelFlags` where one child process writes what it runs; `CancelFlags.place` makes it.

    Args:
        words: The words of the flags.
        start: Index of the first of its three words.
    """

    __slots__ = ("_start", "_words")

    def __init__(self, words: Any, start: int) -> None:
        self._words, self._start = words, start
        words[start] = os.getpid()

    def begin(self, batch: str) -> None:
        """Write which message the child runs.

        Args:
            batch: The message's id.
        """
        self._words[self._start + 1] = mark(batch)
        self._words[self._start + 2] = -1

    def tell(self, number: int) -> None:
        """Write which call of the message the child runs."""
        self._words[self._start + 2] = number


def mark(batch: str) -> int:
    """Return a number that stands for a message's id."""
    return crc32(batch.encode())
