"""Removes this library's frames from tracebacks.

The caller's line is left, and then the frames of the user's function on the worker:

    script.py   divide(1, 0).compute()    kept
    library     compute, result, ...      removed, with frames of the standard library that it calls
    script.py   return a / b              kept: it came with the exception

A public function catches an exception, folds it, and raises it again by a bare ``raise``, which
adds no frame to the traceback. So no frame of the library is left, and nothing in the interpreter
(`sys.excepthook`, IPython's handlers) has to be changed.
"""

import concurrent.futures
import contextlib
import copyreg
import dataclasses
import os
import threading
from types import TracebackType
from typing import Any, Final

from distribute_challenge.errors import DistributeChallengeError
from distribute_challenge.settings import full_tracebacks

__all__ = ["fold", "folded", "set_traceback", "traceback_of", "users_frames"]

_PACKAGE: Final = os.path.dirname(os.path.dirname(__file__)) + os.sep

# Files of the standard library in which the library waits, pickles, or runs or imports user code.
_CALLED: Final = (
    os.path.join(os.path.dirname(os.__file__), "asyncio") + os.sep,
    os.path.dirname(concurrent.futures.__file__) + os.sep,
    contextlib.__file__,
    copyreg.__file__,
    dataclasses.__file__,
    "<string>",  # Methods that `dataclasses` makes.
    threading.__file__,
    "<frozen importlib",
)
_CLOUDPICKLE: Final = f"{os.sep}cloudpickle{os.sep}"

# The descriptor itself: a class may refuse changes of its exceptions, as a frozen dataclass does.
_TRACEBACK: Final[Any] = vars(BaseException)["__traceback__"]


def fold(error: BaseException) -> None:
    """Remove this library's frames from an exception's traceback, before a bare ``raise``.

    They stay with ``DISTRIBUTE_CHALLENGE_FULL_TRACEBACKS=1``, and if there are no others, as in a
    bug of the library itself.
    """
    traceback = traceback_of(error)
    if full_tracebacks() or traceback is None:
        return
    users = users_frames(traceback)
    is_expected = isinstance(error, DistributeChallengeError) or not isinstance(error, Exception)
    # A single frame is that of the public function, which raised an exception that it was given.
    if users is not None or is_expected or traceback.tb_next is None:
        set_traceback(error, users)


class _Folded:
    """A context manager for public functions that folds each exception that leaves the block.

    A ``try`` statement with `fold` takes less time.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            fold(error)


folded: Final = _Folded()


def traceback_of(error: BaseException) -> TracebackType | None:
    """Return an exception's traceback, even if its class overrides the attribute."""
    traceback: TracebackType | None = _TRACEBACK.__get__(error)
    return traceback


def set_traceback(error: BaseException, traceback: TracebackType | None) -> None:
    """Set an exception's traceback, even if its class refuses that."""
    _TRACEBACK.__set__(error, traceback)


def users_frames(traceback: TracebackType | None) -> TracebackType | None:
    """Return a traceback without this library's frames and those of the modules that it calls.

    The given traceback does not change: other threads may be raising the same exception.
    """
    kept: list[TracebackType] = []
    is_own = False
    while traceback is not None:
        filename = traceback.tb_frame.f_code.co_filename
        if not (is_own and (filename.startswith(_CALLED) or _CLOUDPICKLE in filename)):
            is_own = filename.startswith(_PACKAGE)
            if not is_own:
                kept.append(traceback)
        traceback = traceback.tb_next
    users: TracebackType | None = None
    for entry in reversed(kept):
        is_right = entry.tb_next is users
        users = (
            entry
            if is_right
            else TracebackType(users, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
        )
    return users
