"""Tracebacks without this library's frames: the caller's line, and then the user's function on the
worker.

    script.py   divide(1, 0).compute()      kept
    library     compute, result, ...        folded away, and what these call in the standard library to wait or to import
    script.py   return a / b                kept: it came with the exception

A public function catches what passes through it, has it folded, and raises it again by a bare
``raise``, which adds no frame of its own to the traceback. So nothing of the library is left, and
nothing in the interpreter (`sys.excepthook`, IPython's handlers) has to be changed for it.
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

# Where code of the library's waits for others, pickles, or has the user's code run or imported.
_CALLED: Final = (
    os.path.join(os.path.dirname(os.__file__), "asyncio") + os.sep,
    os.path.dirname(concurrent.futures.__file__) + os.sep,
    contextlib.__file__,
    copyreg.__file__,
    dataclasses.__file__,
    "<string>",  # What it makes.
    threading.__file__,
    "<frozen importlib",
)
_CLOUDPICKLE: Final = f"{os.sep}cloudpickle{os.sep}"

# The descriptor itself: a class may refuse that its exceptions are changed, as a frozen dataclass
# does.
_TRACEBACK: Final[Any] = vars(BaseException)["__traceback__"]


def fold(error: BaseException) -> None:
    """Take this library's frames out of an exception's traceback, for a bare ``raise`` of a public
    function.

    With ``DISTRIBUTE_CHALLENGE_FULL_TRACEBACKS=1`` they stay; also where there are no others, as in
    a fault of the library itself.
    """
    traceback = traceback_of(error)
    if full_tracebacks() or traceback is None:
        return
    users = users_frames(traceback)
    is_expected = isinstance(error, DistributeChallengeError) or not isinstance(error, Exception)
    # One frame alone is that of the public function, which has raised what it was given.
    if users is not None or is_expected or traceback.tb_next is None:
        set_traceback(error, users)


class _Folded:
    """For a ``with`` block in a public function: what leaves it has been folded. A ``try`` takes
    less time.
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
    """An exception's traceback, whatever its class says of it."""
    traceback: TracebackType | None = _TRACEBACK.__get__(error)
    return traceback


def set_traceback(error: BaseException, traceback: TracebackType | None) -> None:
    """Give an exception a traceback, whatever its class says to that."""
    _TRACEBACK.__set__(error, traceback)


def users_frames(traceback: TracebackType | None) -> TracebackType | None:
    """A traceback without this library's frames, and without those of what they call; all others
    are kept.

    The traceback itself stays as it is: other threads may be raising the same exception.
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
