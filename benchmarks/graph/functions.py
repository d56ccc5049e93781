"""The functions that every system runs on its workers; they do next to nothing."""

from collections.abc import Iterable
from typing import Any

__all__ = ["FUNCTIONS", "add", "inc", "item", "items", "ones", "plus_one", "total", "total_of"]

MODULUS = 1_000_003  # Sums stay small, however many layers of them there are.


def inc(number: int) -> int:
    """Add 1."""
    return number + 1


def add(first: int, second: int) -> int:
    """Add two numbers."""
    return (first + second) % MODULUS


def total(numbers: Iterable[int]) -> int:
    """Add the numbers of a list."""
    return sum(numbers) % MODULUS


def total_of(*numbers: int) -> int:
    """Add the arguments, for a system that finds no futures in a list."""
    return total(numbers)


def ones(size: int, value: float) -> Any:
    """Make an array of a size in bytes."""
    import numpy  # Calls with numbers do not need it, and it is slow to load.

    return numpy.full(size // 8, value)


def plus_one(array: Any) -> Any:
    """Add 1 to an array, and return the new one."""
    return array + 1


def item(array: Any) -> float:
    """Return the last number of an array, so that the call costs what receiving the array costs."""
    return float(array[-1])


def items(first: Any, second: Any) -> float:
    """Return the sum of the last numbers of two arrays."""
    return item(first) + item(second)


FUNCTIONS = (inc, add, total, total_of, ones, plus_one, item, items)
