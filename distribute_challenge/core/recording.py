"""Tells recorders of the calls that this process submits; `report` starts one.

Whatever gives a call to an engine for the program passes its future through `recorded`: `compute`,
`submit`, maps, graphs, executors. So a recorder sees each call once, on every engine.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from distribute_challenge.core.futures import Future
    from distribute_challenge.core.messages import Task

__all__ = ["Recorder", "is_recording", "recorded", "recording"]

F = TypeVar("F", bound="Future[Any]")


class Recorder(Protocol):
    """Gets to know all calls of this process."""

    def submitted(self, task: "Task", future: "Future[Any]") -> None:
        """Take note of a call; any thread may call this, and it must not block or raise.

        Args:
            task: The call, or the calls of a chunk.
            future: Its future, which may be done.
        """


_lock = threading.Lock()
_recorders: tuple[Recorder, ...] = ()


def recorded(task: "Task", future: F) -> F:
    """Tell all recorders of a call, and return its future."""
    for recorder in _recorders:
        recorder.submitted(task, future)
    return future


def is_recording() -> bool:
    """Whether there is a recorder, so that engines measure the sizes of results."""
    return bool(_recorders)


@contextmanager
def recording(recorder: Recorder) -> Iterator[None]:
    """Tell a recorder of all calls that any thread submits during a block."""
    global _recorders
    with _lock:
        _recorders = (*_recorders, recorder)
    try:
        yield
    finally:
        with _lock:
            _recorders = tuple(each for each in _recorders if each is not recorder)


def _forget() -> None:
    """In the child of a fork, drop the recorders: the block is the parent's."""
    global _lock, _recorders
    _lock = threading.Lock()
    _recorders = ()


os.register_at_fork(after_in_child=_forget)
