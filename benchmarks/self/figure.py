"""A figure, and its values over the rounds of a run."""

from dataclasses import dataclass
from statistics import median

__all__ = ["Figure", "Series"]


@dataclass(frozen=True)
class Figure:
    """A quantity for which a measurement yields numbers.

    Attributes:
        name: Name in the JSON, which must not change over time.
        title: Description in tables.
        unit: Unit of the recorded numbers; empty for ratios.
        more_is_better: Whether the figure is a speed and not a cost.
        smallest: Differences below this, in the unit, mean nothing, whatever their percentage.
    """

    name: str
    title: str
    unit: str
    more_is_better: bool = False
    smallest: float = 0.0


@dataclass(frozen=True)
class Series:
    """One figure of one run: a value for each round in which it was measured, at least one."""

    figure: Figure
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median of the values, which tables show and comparisons use."""
        return median(self.values)

    @property
    def spread(self) -> float:
        """Difference between the highest and the lowest value."""
        return max(self.values) - min(self.values)
