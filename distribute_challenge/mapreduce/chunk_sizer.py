"""Decides how many items a call of the first wave gets.

Large calls are better: they combine more before anything travels. But the last one must not keep a
single worker busy while all others wait. Like `core.batching`, this uses no clock: measured
durations go in, a number comes out.
"""

from math import inf

__all__ = ["ChunkSizer"]

# Guesses, all of them:
SHORTEST = 0.25  # Seconds that a call should take at least; its overhead is some milliseconds.
LONGEST = 10.0  # Seconds at most: so much is done again when a worker dies.
OPEN_END = 4  # If the number of items is unknown, a call takes a fourth of the time so far at most.
LAST = 16  # A call takes a sixteenth of the time so far at least, also near the end.
FAIR = 2  # The remaining items are divided into so many calls for each worker process.
GROWTH = 8  # As often more items than the call before, at most.
LARGEST_BYTES = 64_000_000  # Of the items of a call.


class ChunkSizer:
    """The number of items in the calls of one job.

    Examples:
        >>> sizer = ChunkSizer()
        >>> sizer.size(left=1000, slots=2, elapsed=0)
        1
        >>> sizer.record(1, seconds=0.01, size=10)
        >>> [sizer.size(left, slots=2, elapsed=2) for left in (1000, 992, 100)]
        [8, 64, 25]
    """

    def __init__(self) -> None:
        self._seconds_each: float | None = None
        self._bytes_each = 0.0
        self._last = 1

    def most_at_once(self, slots: int) -> int:
        """Return how many calls may be out at once: for each process one to run, and one to come.

        Before one has ended, no call waits for a process: it would have too few items.
        """
        return max(slots, 1) * (1 if self._seconds_each is None else 2)

    def record(self, items: int, *, seconds: float, size: int) -> None:
        """Record a call that has ended.

        Args:
            items: Number of its items.
            seconds: Seconds that it took.
            size: Bytes of its items.
        """
        self._seconds_each = max(seconds, 1e-9) / items
        self._bytes_each = size / items

    def size(self, left: float, slots: int, elapsed: float) -> int:
        """Return the number of items for the next call.

        Args:
            left: Number of items that are left; infinite if it is unknown.
            slots: Number of worker processes.
            elapsed: Seconds since the first call.
        """
        if self._seconds_each is None:
            return 1
        longest = LONGEST if left < inf else min(max(elapsed / OPEN_END, SHORTEST), LONGEST)
        least = max(elapsed / LAST, SHORTEST) / self._seconds_each
        fair = max(left / (FAIR * max(slots, 1)), least)
        by_size = LARGEST_BYTES / self._bytes_each if self._bytes_each else inf
        size = min(longest / self._seconds_each, fair, GROWTH * self._last, by_size)
        self._last = max(int(size), 1)
        return self._last
