"""What a figure is, and its values over the rounds of a run."""

from dataclasses import dataclass
from statistics import median

__all__ = ["Figure", "Series"]


@dataclass(frozen=True)
class Figure:
    """Something that a measurement yields a number for.

    Attributes:
        name: Its name in the JSON, which stays the same over time.
        title: What people read.
        unit: Of the recorded numbers; empty for ratios.
        more_is_better: Whether it is a speed and not a cost.
        smallest: Differences below this, in the unit, say nothing, whatever their percentage.
    """

    name: str
    title: str
    unit: str
    more_is_better: bool = False
    smallest: float = 0.0


@dataclass(frozen=True)
class Series:
    """One figure of one run: a value for each round in which it was measured; at least one."""

    figure: Figure
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The value that counts."""
        return median(self.values)

    @property
    def spread(self) -> float:
        """From the lowest to the highest."""
        return max(self.values) - min(self.values)
