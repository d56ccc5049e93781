"""Instances that take little memory, of classes of which there may be millions."""

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["compact"]

C = TypeVar("C", bound=type)


def compact(*names: str) -> Callable[[C], C]:
    """Have CPython keep some attributes of a class's instances without a dictionary for each.

    It does so for all attributes that one of the first thirty instances has had. Without this,
    thirty futures that are made before the first one is done settle that the value of a future needs
    a dictionary: 180 bytes, and one more object for the garbage collector.

    Args:
        names: The names of attributes that most instances have.

    Examples:
        >>> @compact("x", "y")
        ... class Point: ...
    """

    def decorate(kind: C) -> C:
        first: Any = object.__new__(kind)
        for name in names:
            setattr(first, name, None)
        return kind

    return decorate
