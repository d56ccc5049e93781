"""Users' code that may raise anything: what it gives, or what to take instead.

An exception's `__str__`, an argument's `__repr__`, a result's `__reduce__` are such code. Whatever
they raise, `SystemExit` among it, is no reason for a worker process or a client's thread to end.
What interrupts from outside is let through (`interrupts`).
"""

import reprlib
from collections.abc import Callable
from typing import Any, Final, TypeVar

from distribute_challenge.core.interrupts import is_interrupt

__all__ = ["name_of", "shortened", "shown", "text_of", "tried"]

R = TypeVar("R")

MOST_TEXT = 100_000  # Characters of an exception's text.

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 1000

_NAME: Final[Any] = vars(type)["__name__"]


def tried(attempt: Callable[[], R], otherwise: Callable[[BaseException], R]) -> R:
    """What an attempt gives, or what is given for the reason of its failure.

    Examples:
        >>> tried(lambda: 1 / 0, lambda reason: -1.0)
        -1.0
    """
    try:
        return attempt()
    except BaseException as reason:
        if is_interrupt(reason):
            raise
        return otherwise(reason)


def text_of(error: BaseException) -> str:
    """``str()`` of an exception; shortened in the middle if it is very long."""
    return tried(
        lambda: shortened(str.__str__(str(error))),
        lambda reason: f"<no text: str() raised {name_of(type(reason))}>",
    )


def shown(value: object) -> str:
    """``repr()`` of a value, shortened."""
    return tried(
        lambda: str.__str__(_repr.repr(value)), lambda reason: f"<{name_of(type(value))} object>"
    )


def name_of(kind: type) -> str:
    """Module and qualified name of a class.

    Examples:
        >>> name_of(ValueError)
        'builtins.ValueError'
    """

    def plain(reason: BaseException) -> str:
        name: str = _NAME.__get__(kind)
        return name

    return tried(lambda: f"{kind.__module__}.{kind.__qualname__}", plain)


def shortened(text: str) -> str:
    """A text without its middle, if it is very long."""
    half = MOST_TEXT // 2
    if len(text) <= MOST_TEXT:
        return text
    return f"{text[:half]}\n... {len(text) - 2 * half:,} characters left out ...\n{text[-half:]}"
