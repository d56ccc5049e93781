"""Memory that a pool shares with its processes: which process runs which call, and which call is to stop.

Each call that was handed to the pool has a place, and a number that no other call has.

    pool --> the number, when the call is to stop --> process, which looks before it begins and when a signal comes
    pool <-- process id and the number <------------- process, while it runs the call

The file behind it has no name: it goes with the last process that has it open, however that ends.
"""

import mmap
import os
import tempfile
import weakref
from multiprocessing.reduction import DupFd
from typing import Any, NamedTuple

__all__ = ["Place", "StopRecord"]

_WORDS = 3  # Of each place: who runs the call, which one, and which one is to stop.
_WORD = 8


class Place(NamedTuple):
    """Where a call is written down, and its number."""

    slot: int
    number: int


class StopRecord:
    """The memory. Given to a process while it is started, it is the same memory there.

    Args:
        places: How many calls the pool has at a time.
        descriptor: Of the file, in a process that got it; None: a new one.
    """

    def __init__(self, places: int, descriptor: int | None = None) -> None:
        size = _WORDS * _WORD * places
        if descriptor is None:
            with tempfile.TemporaryFile() as file:
                file.truncate(size)
                descriptor = os.dup(file.fileno())
        self._places = places
        self._descriptor = descriptor
        self._close = weakref.finalize(self, os.close, descriptor)
        self._words = memoryview(mmap.mmap(descriptor, size)).cast("q")

    def close(self) -> None:
        """Let go of the file; no process can be started with it any more."""
        self._close()

    def __reduce__(self) -> tuple[Any, ...]:
        return _attached, (self._places, DupFd(self._descriptor))

    def begin(self, place: Place) -> None:
        """In a process: say that it runs a call."""
        self._words[_WORDS * place.slot + 1] = place.number
        self._words[_WORDS * place.slot] = os.getpid()

    def end(self, place: Place) -> None:
        """In a process: say that it does not any more."""
        self._words[_WORDS * place.slot] = 0

    def is_unwanted(self, place: Place) -> bool:
        """Whether a call is to stop."""
        return bool(self._words[_WORDS * place.slot + 2] == place.number)

    def stop(self, place: Place) -> None:
        """Have a call stop, or not begin."""
        self._words[_WORDS * place.slot + 2] = place.number

    def runner(self, place: Place) -> int | None:
        """The process that runs a call, if one does."""
        pid, number, _ = self._words[_WORDS * place.slot : _WORDS * (place.slot + 1)]
        return pid if pid and number == place.number else None


def _attached(places: int, descriptor: Any) -> StopRecord:
    return StopRecord(places, descriptor.detach())
