"""Guesses how large the results of a running chunk are, which have not been pickled yet."""

import sys
from typing import Any

__all__ = ["SizeGuess"]

SAMPLE = 32  # Results to look at each time; it takes some microseconds.


class SizeGuess:
    """The size of a growing list of results.

    Args:
        results: The list; the chunk's thread appends to it.
    """

    def __init__(self, results: list[Any]) -> None:
        self._results = results
        self._seen = 0
        self._total = 0.0

    def total(self) -> float:
        """Return the bytes that all results take, from a sample of the new ones; there is one.

        What is inside a container does not count.
        """
        new = self._results[self._seen :]
        sample = new[:: -(-len(new) // SAMPLE)]
        self._seen += len(new)
        self._total += sum(map(_size, sample)) / len(sample) * len(new)
        return self._total


def _size(value: Any) -> int:
    try:
        return sys.getsizeof(value)
    except Exception:  # A class of the user's may do anything in __sizeof__.
        return 0
