"""Runs small pieces of user code that may raise anything, with a value to use instead.

An exception's `__str__`, an argument's `__repr__` and a result's `__reduce__` are such code. No
exception that they raise, not even `SystemExit`, may end a worker process or a client's thread.
Interrupts from outside pass (`interrupts`).
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
    """Return what ``attempt`` returns, or ``otherwise`` of the exception that it raises.

    Args:
        attempt: Runs user code; an interrupt that it raises passes.
        otherwise: Gets the exception, and returns the value to use instead.

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
    """Return ``str()`` of an exception; shortened in the middle if it is very long."""
    return tried(
        lambda: shortened(str.__str__(str(error))),
        lambda reason: f"<no text: str() raised {name_of(type(reason))}>",
    )


def shown(value: object) -> str:
    """Return ``repr()`` of a value, shortened."""
    return tried(
        lambda: str.__str__(_repr.repr(value)), lambda reason: f"<{name_of(type(value))} object>"
    )


def name_of(kind: type) -> str:
    """Return module and qualified name of a class.

    Examples:
        >>> name_of(ValueError)
        'builtins.ValueError'
    """

    def plain(reason: BaseException) -> str:
        name: str = _NAME.__get__(kind)
        return name

    return tried(lambda: f"{kind.__module__}.{kind.__qualname__}", plain)


def shortened(text: str) -> str:
    """Return a text, without its middle if it is very long."""
    half = MOST_TEXT // 2
    if len(text) <= MOST_TEXT:
        return text
    return f"{text[:half]}\n... {len(text) - 2 * half:,} characters left out ...\n{text[-half:]}"
