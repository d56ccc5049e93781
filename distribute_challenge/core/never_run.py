"""Warns of work that never ran: a call without ``.compute()``, a map that no loop iterated.

Like Python for a coroutine that was never awaited, it warns when the object is deleted, or at the
end of the program.
"""

import atexit
import gc
import sys
import warnings
from collections.abc import Callable
from functools import partial
from operator import attrgetter
from types import CodeType
from typing import Any

from distribute_challenge.errors import NeverRunWarning

__all__ = ["HAS_RUN", "Place", "ToRun", "place_of_caller", "tell_of_cancelled", "warning"]

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
        at_deletion: Called when the object is deleted: `HAS_RUN` if it has run, or needs no
            warning; else what `warning` returns. It must not refer to the object.
    """

    __slots__ = ("at_deletion",)

    at_deletion: Callable[[], object]

    # No method that is written in Python: Python ignores a Ctrl+C that comes as one begins, and a
    # call is deleted each time that a program has waited for one.
    __del__ = property(attrgetter("at_deletion"))


#: For an object that has run. It is written in C, and does nothing.
HAS_RUN: Callable[[], object] = bool


def warning(text: str, name: str, place: Place) -> Callable[[], object]:
    """Return what warns of an object that never ran.

    Args:
        text: What did not run, and what to write; ``{name}`` stands for the name.
        name: Name of the function.
        place: Where the program made the object.
    """
    return partial(_warn, text, name, place)


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


def _warn(text: str, name: str, place: Place) -> None:
    """Warn, once for each line of the program."""
    code, instruction = place
    lines = (line for start, end, line in code.co_lines() if start <= instruction < end)
    warnings.warn_explicit(
        text.format(name=name),
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
            tell, each.at_deletion = each.at_deletion, HAS_RUN
            if not failed:
                tell()
