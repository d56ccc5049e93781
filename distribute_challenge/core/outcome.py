"""How a call ended: its value, or a `Failure` in the value's place.

A plain value stands for itself, so that a million successes cost nothing; only a failure is
wrapped. Captured once on the worker, unwrapped once at the client.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["Failure", "add_note", "unwrap"]

# The descriptor itself: a class may have an own way to get and set attributes.
_ATTRIBUTES: Final[Any] = vars(BaseException)["__dict__"]


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that raised.

    Args:
        error: What it raised, with the traceback of the frames it raised in.
        arguments: The call's ``args`` and ``kwargs``, to say which call it was; None where they are
            not known.
    """

    error: BaseException
    arguments: tuple[tuple[Any, ...], Mapping[str, Any]] | None = field(
        default=None, compare=False, repr=False
    )


def unwrap(outcome: Any) -> Any:
    """The value, or the failure's exception raised.

    Examples:
        >>> unwrap(4)
        4
        >>> unwrap(Failure(ZeroDivisionError("division by zero")))
        Traceback (most recent call last):
        ...
        ZeroDivisionError: division by zero
    """
    if type(outcome) is Failure:
        raise outcome.error
    return outcome


def add_note(error: BaseException, note: str) -> None:
    """Add a note to an exception, also to one whose class refuses that: a frozen dataclass, say.

    Examples:
        >>> error = ValueError("no")
        >>> add_note(error, "Look again.")
        >>> error.__notes__
        ['Look again.']
    """
    attributes: dict[str, Any] = _ATTRIBUTES.__get__(error)
    notes = attributes.get("__notes__")
    attributes["__notes__"] = [*notes, note] if isinstance(notes, list) else [note]
