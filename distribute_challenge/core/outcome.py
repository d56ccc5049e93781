"""How a call ended: its value, or a `Failure` in the value's place.

A value stands for itself, so that a million successes cost nothing; only a failure is wrapped. The
worker captures an outcome once, and the client unwraps it once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["UNBEGUN", "Failure", "Unbegun", "add_note", "unwrap"]

# The descriptor itself: a class may override how attributes are read and set.
_ATTRIBUTES: Final[Any] = vars(BaseException)["__dict__"]


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that raised.

    Args:
        error: The exception that it raised, with its traceback.
        arguments: The call's ``args`` and ``kwargs``, to show which call it was; None if they are
            not known.
    """

    error: BaseException
    arguments: tuple[tuple[Any, ...], Mapping[str, Any]] | None = field(
        default=None, compare=False, repr=False
    )


class Unbegun:
    """The outcome of a call that was to follow another in its message, but had to be left out."""


UNBEGUN: Final = Unbegun()


def unwrap(outcome: Any) -> Any:
    """Return the value of an outcome, or raise the exception of a failure.

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
    """Add a note to an exception, even if its class refuses that, as a frozen dataclass does.

    Examples:
        >>> error = ValueError("no")
        >>> add_note(error, "Look again.")
        >>> error.__notes__
        ['Look again.']
    """
    attributes: dict[str, Any] = _ATTRIBUTES.__get__(error)
    notes = attributes.get("__notes__")
    attributes["__notes__"] = [*notes, note] if isinstance(notes, list) else [note]
