"""Compares two runs, figure by figure: which got worse by more than chance would explain."""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.self.figure import Series
from benchmarks.self.results import Results

__all__ = ["Change", "changes"]

TOLERANCE = 10.0  # Percent.


@dataclass(frozen=True)
class Change:
    """One figure before and after; either may be missing."""

    old: Series | None
    new: Series | None

    @property
    def title(self) -> str:
        """Title of the figure."""
        known = self.new or self.old
        assert known is not None
        return known.figure.title

    @property
    def percent(self) -> float | None:
        """Change of the median in percent; None if a median is missing or the old one is 0."""
        if self.old is None or self.new is None or self.old.median == 0:
            return None
        return 100 * (self.new.median - self.old.median) / abs(self.old.median)

    @property
    def is_worse(self) -> bool:
        """Whether the figure got worse by more than chance would explain.

        The median is worse by more than 10 %, by more than the spread of either run, and by more
        than `Figure.smallest`.
        """
        if self.old is None or self.new is None:
            return False
        worse_by = self.new.median - self.old.median
        if self.new.figure.more_is_better:
            worse_by = -worse_by
        spread = max(self.old.spread, self.new.spread)
        return worse_by > max(
            abs(self.old.median) * TOLERANCE / 100, spread, self.new.figure.smallest
        )


def changes(old: Results, new: Results) -> Iterator[Change]:
    """Yield the change of each figure of either run, in the order of the new run."""
    for name in [*new.series, *(name for name in old.series if name not in new.series)]:
        yield Change(old.series.get(name), new.series.get(name))
