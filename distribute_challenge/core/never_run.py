"""Tells of work that was set up and never happened: a call without ``.compute()``, a map that no
loop went through.

As Python does for a coroutine that was never awaited, and when it does: as the object goes, or at
the end of the program.
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

#: Code, and where in it. The line is looked up when it is needed, which is rare.
Place = tuple[CodeType, int]

_told: dict[
    str, dict[Any, Any]
] = {}  # For each file, what `warnings` notes down so that it tells once.


def place_of_caller(depth: int = 1) -> Place:
    """Where the function was called that asks.

    Args:
        depth: 1: where that was called; 2: where its caller was.
    """
    frame = sys._getframe(depth + 1)
    return frame.f_code, frame.f_lasti


class ToRun:
    """Base of what is made to be run later, and warns if that does not happen.

    Attributes:
        made_at: Where the program made it. None: it has run, or it does not matter.
    """

    __slots__ = ("made_at",)

    made_at: Place | None

    @abstractmethod
    def _never_run(self) -> str:
        """What did not run, and what to write."""

    def __del__(self) -> None:
        if self.made_at is not None:
            place, self.made_at = self.made_at, None
            _warn(self._never_run(), place)


def tell_of_cancelled(calls: int) -> None:
    """At the end of the program, warn of calls that it has submitted and not waited for.

    Args:
        calls: How many were cancelled.
    """
    if calls and not _has_failed():
        some = "1 submitted call was" if calls == 1 else f"{calls} submitted calls were"
        warnings.warn_explicit(
            f"{some} not done at the end of the program, which cancelled what was left: wait with "
            f".result(), "
            f"or let calls go on without it by .submit(detach=True)",
            NeverRunWarning,
            filename="sys",  # As Python says it of a coroutine, where no line is to blame.
            lineno=1,
        )


def _has_failed() -> bool:
    """Whether the program ends by an exception, which has said enough."""
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
    """What the script's own variables hold goes when `warnings` is gone."""
    failed = _has_failed()
    for each in gc.get_objects():
        if issubclass(type(each), ToRun):
            if failed:
                each.made_at = None
            each.__del__()
