"""The functions that every peer runs on its workers; none of them does anything to speak of."""

from typing import Any

__all__ = ["item", "plus_one", "same"]


def same(value: Any) -> Any:
    """Do nothing."""
    return value


def plus_one(array: Any) -> Any:
    """Return an array of the size of the one that came."""
    return array + 1


def item(array: Any, index: int) -> float:
    """Read one number of a large array: the call costs what bringing the array to it costs."""
    return float(array[index])
