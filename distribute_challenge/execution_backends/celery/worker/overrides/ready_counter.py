"""Counts how many of a child's results the main process has read, without a semaphore.

Billiard makes a semaphore for each child that it starts. Semaphores lie in ``/dev/shm``. Where that
is full, read-only or missing, as on AWS Lambda, no child could be started, and the error would end
the worker.
"""

import contextlib
import mmap
from contextlib import AbstractContextManager
from typing import Any

__all__ = ["ReadyCounter", "without_semaphores"]


class ReadyCounter:
    """A number that the main process writes and one forked child reads, in billiard's code.

    It has only one writer, so it needs no lock.
    """

    def __init__(self) -> None:
        self._words = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("q")

    @property
    def value(self) -> int:
        """The number of results that were read."""
        return self._words[0]

    @value.setter
    def value(self, number: int) -> None:
        self._words[0] = number

    def get_lock(self) -> AbstractContextManager[None]:
        """Return the lock that billiard holds while it writes: one that does nothing."""
        return contextlib.nullcontext()


def without_semaphores(context: Any) -> Any:
    """Return a context for a pool whose counters are `ReadyCounter` objects.

    Args:
        context: Billiard's context. It is returned unchanged if it does not fork, as its children
            then inherit no memory.
    """
    return _Context(context) if context.get_start_method() == "fork" else context


class _Context:
    def __init__(self, context: Any) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def Value(self, typecode: str) -> ReadyCounter:  # noqa: N802 - billiard calls it so
        return ReadyCounter()
