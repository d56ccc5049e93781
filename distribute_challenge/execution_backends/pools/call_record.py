"""Memory that a pool shares with one of its processes: which call has begun there, and which one is
to stop.

    pool --> the number of the call that is to stop --> process, which looks before it begins and when a signal comes
    pool <-- the number of the call that has begun <--- process; the pool reads it when the process has died

The file behind it has no name: it goes with the last process that has it open, however that ends.
"""

import mmap
import os
import tempfile
import weakref

__all__ = ["CallRecord"]

_SIZE = 16  # Bytes: two numbers.


class CallRecord:
    """The memory. Made with the descriptor of another one, it is the same memory.

    Args:
        descriptor: Of the file, in a process that got it; None: a new one.

    Attributes:
        descriptor: Of the file.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        if descriptor is None:
            descriptor = _new_file()
            os.truncate(descriptor, _SIZE)
        self.descriptor = descriptor
        self._close = weakref.finalize(self, os.close, descriptor)
        self._numbers = memoryview(mmap.mmap(descriptor, _SIZE)).cast("q")

    def close(self) -> None:
        """Let go of the file; no process can be started with it any more."""
        self._close()

    def stop(self, number: int) -> None:
        """Have a call stop, or not begin.

        Args:
            number: The call's, above 0.
        """
        self._numbers[0] = number

    def is_unwanted(self, number: int) -> bool:
        """Whether the call of a number is to stop."""
        return bool(self._numbers[0] == number)

    def begin(self, number: int) -> None:
        """In the process: say that a call has begun."""
        self._numbers[1] = number

    def has_begun(self, number: int) -> bool:
        """Whether the call of a number has begun."""
        return bool(self._numbers[1] == number)


def _new_file() -> int:
    """A file without a name: in memory where the system has such, as a folder of temporary files
    may be full.
    """
    if hasattr(os, "memfd_create"):  # pragma: no branch - Linux
        return os.memfd_create("distribute_challenge")
    with tempfile.TemporaryFile() as file:  # pragma: no cover - macOS
        return os.dup(file.fileno())
