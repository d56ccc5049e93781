"""The functions that every peer runs on its workers; they do next to nothing."""

from typing import Any

__all__ = ["item", "plus_one", "same"]


def same(value: Any) -> Any:
    """Do nothing."""
    return value


def plus_one(array: Any) -> Any:
    """Add 1 to an array, and return the new one."""
    return array + 1


def item(array: Any, index: int) -> float:
    """Read one number of a large array, so that the call costs what sending the array costs."""
    return float(array[index])
