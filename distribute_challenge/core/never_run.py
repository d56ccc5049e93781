"""Warns of work that never ran: a call without ``.compute()``, a map that no loop iterated.

Like Python for a coroutine that was never awaited, it warns when the object is deleted, or at the
end of the program.
"""

import atexit
import gc
import sys
import warnings
from abc import abstractmethod
from types import CodeType
from typing import Any

from distribute_challenge.errors import NeverRunWarning

__all__ = ["Place", "ToRun", "place_of_caller", "tell_of_cancelled"]

#: A code object and the index of an instruction in it. The line is only looked up for a warning.
Place = tuple[CodeType, int]

# The registry of each file, in which `warnings` records what it has shown, so as to warn once.
_told: dict[str, dict[Any, Any]] = {}


def place_of_caller(depth: int = 1) -> Place:
    """Return the place from which the calling function was called.

    Args:
        depth: 1: where the function that calls this one was called; 2: where its caller was called.
    """
    frame = sys._getframe(depth + 1)
    return frame.f_code, frame.f_lasti


class ToRun:
    """Base of objects that are made to be run later, and warn if they never are.

    Attributes:
        made_at: Where the program made the object; None if it has run, or needs no warning.
    """

    __slots__ = ("made_at",)

    made_at: Place | None

    @abstractmethod
    def _never_run(self) -> str:
        """Return the text of the warning: what did not run, and what to write."""

    def __del__(self) -> None:
        if self.made_at is not None:
            place, self.made_at = self.made_at, None
            _warn(self._never_run(), place)


def tell_of_cancelled(calls: int) -> None:
    """At the end of the program, warn of calls that it has submitted and not waited for.

    Args:
        calls: Number of calls that were cancelled.
    """
    if calls and not _has_failed():
        some = "1 submitted call was" if calls == 1 else f"{calls} submitted calls were"
        warnings.warn_explicit(
            f"{some} not done at the end of the program, which cancelled what was left: wait with "
            f".result(), "
            f"or let calls go on without it by .submit(detach=True)",
            NeverRunWarning,
            filename="sys",  # As in Python's warning of a coroutine, where no line is known.
            lineno=1,
        )


def _has_failed() -> bool:
    """Whether the program ends by an exception: then a warning would only distract from it."""
    return hasattr(sys, "last_type")


def _warn(text: str, place: Place) -> None:
    """Warn, once for each line of the program."""
    code, instruction = place
    lines = (line for start, end, line in code.co_lines() if start <= instruction < end)
    warnings.warn_explicit(
        text,
        NeverRunWarning,
        filename=code.co_filename,
        lineno=next(lines, None) or code.co_firstlineno,
        registry=_told.setdefault(code.co_filename, {}),
    )


@atexit.register
def _tell_at_exit() -> None:
    """Warn of objects in the script's variables: they are deleted after `warnings` is gone."""
    failed = _has_failed()
    for each in gc.get_objects():
        if issubclass(type(each), ToRun):
            if failed:
                each.made_at = None
            each.__del__()
