"""What is known of the calls of each function, in a bounded number of numbers."""

from collections import Counter
from dataclasses import dataclass, field
from itertools import accumulate
from math import ceil, exp, log

__all__ = ["OTHERS", "Durations", "Figures", "FunctionTable", "Sizes"]

MOST_FUNCTIONS = 200  # Rows; further functions share one. A guess at what people still read.
#: The name of the row that further functions share.
OTHERS = "other functions"

_SHORTEST = 1e-7  # Seconds; whatever is shorter counts as this.
_STEP = log(1.02)  # From one class of durations to the next.


class Durations:
    """Durations of any number of calls, of which percentiles are known within 2 %.

    They are counted in classes, each of which is 2 % longer than the one before: about 1,300 from
    0.1 µs to a day.

    Attributes:
        count: How many there are.
        total: Their sum, in seconds.
        longest: The longest one, in seconds.
    """

    def __init__(self) -> None:
        self.count = 0
        self.total = self.longest = 0.0
        self._classes: Counter[int] = Counter()

    def add(self, seconds: float, calls: int = 1) -> None:
        """Add the duration of a call, or several that are equal."""
        number = 0
        if seconds > _SHORTEST:
            number = int(log(seconds / _SHORTEST) / _STEP)
        elif seconds < 0:
            seconds = 0.0  # The clock was set back.
        self.count += calls
        self.total += seconds * calls
        if seconds > self.longest:
            self.longest = seconds
        self._classes[number] += calls

    @property
    def mean(self) -> float:
        """The mean, in seconds; there must be a duration."""
        return self.total / self.count

    def percentile(self, share: float) -> float:
        """Return the duration that this share of the calls did not exceed, in seconds.

        There must be a duration.

        Examples:
            >>> durations = Durations()
            >>> for milliseconds in range(1, 101):
            ...     durations.add(milliseconds / 1000)
            >>> 0.093 < durations.percentile(0.95) < 0.097
            True
        """
        rank, classes = ceil(share * self.count), sorted(self._classes.items())
        seen = accumulate(calls for _, calls in classes)
        number = next(
            number for (number, _), so_far in zip(classes, seen, strict=True) if so_far >= rank
        )
        return min(self.longest, _SHORTEST * exp((number + 0.5) * _STEP))


@dataclass(slots=True)
class Sizes:
    """Sizes of pickled values, in bytes; the count is that of the calls whose size is known."""

    count: int = 0
    total: float = 0.0
    largest: float = 0.0

    def add(self, size: float, calls: int) -> None:
        """Add the size of each of some calls."""
        self.count += calls
        self.total += size * calls
        self.largest = max(self.largest, size)


@dataclass(slots=True)
class Figures:
    """The calls of one function.

    Attributes:
        calls: Those that have ended.
        failed: Those of them that raised, or were lost.
        cancelled: Those of them that were cancelled.
        running: How long they ran on their workers.
        waited: How long these waited before that, together, in seconds.
        arguments: Sizes of their arguments.
        results: Sizes of their results.
    """

    calls: int = 0
    failed: int = 0
    cancelled: int = 0
    running: Durations = field(default_factory=Durations)
    waited: float = 0.0
    arguments: Sizes = field(default_factory=Sizes)
    results: Sizes = field(default_factory=Sizes)


class FunctionTable(dict[str, Figures]):
    """The figures of each function, by its name; beyond `MOST_FUNCTIONS`, of `OTHERS` together."""

    def of(self, name: str) -> Figures:
        """Return the figures of a function, made if there are none."""
        if name not in self:
            name = name if len(self) < MOST_FUNCTIONS else OTHERS
            self.setdefault(name, Figures())
        return self[name]
