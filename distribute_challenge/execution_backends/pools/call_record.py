"""Memory that a pool shares with one of its processes: which call has begun, and which has to stop.

    pool ──► number of the call that has to stop ──► process; reads it before a call and at a signal
    pool ◄── number of the call that has begun ◄──── process; the pool reads it if the process dies

The file behind it has no name: the system frees it when the last process that has it open ends,
whatever ends that.
"""

import mmap
import os
import tempfile
import weakref

__all__ = ["CallRecord", "nameless_file"]

_SIZE = 16  # Bytes: two numbers.


class CallRecord:
    """The shared memory; the pool makes one for each process, which opens the same memory.

    Args:
        descriptor: The descriptor of the pool's file, in the process; None: make a new file.

    Attributes:
        descriptor: The descriptor of the file.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        if descriptor is None:
            descriptor = nameless_file()
            os.truncate(descriptor, _SIZE)
        self.descriptor = descriptor
        self._close = weakref.finalize(self, os.close, descriptor)
        self._numbers = memoryview(mmap.mmap(descriptor, _SIZE)).cast("q")

    def close(self) -> None:
        """Close the file; no process can be started with it any more."""
        self._close()

    def stop(self, number: int) -> None:
        """Tell the process to stop a call, or not to begin it.

        Args:
            number: The call's number, above 0.
        """
        self._numbers[0] = number

    def is_unwanted(self, number: int) -> bool:
        """Whether the call with this number has to stop."""
        return bool(self._numbers[0] == number)

    def begin(self, number: int) -> None:
        """Record that a call has begun; the process calls it."""
        self._numbers[1] = number

    def has_begun(self, number: int) -> bool:
        """Whether the call with this number has begun."""
        return bool(self._numbers[1] == number)


def nameless_file() -> int:
    """Open a file without a name, in memory if the system can: a temporary folder may be full."""
    if hasattr(os, "memfd_create"):  # pragma: no branch - Linux
        return os.memfd_create("distribute_challenge")
    with tempfile.TemporaryFile() as file:  # pragma: no cover - macOS
        return os.dup(file.fileno())
