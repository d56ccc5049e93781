"""A measurement: a function that runs in a process of its own, and the figures that it yields."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module

from benchmarks.self.figure import Figure

__all__ = ["Measurement", "Take"]

Take = Callable[[int], dict[str, float]]
"""Takes the number of worker processes, where the measurement leaves that open; returns numbers \
by the names of figures."""


@dataclass(frozen=True)
class Measurement:
    """A function that takes one or more figures.

    Attributes:
        name: Name for ``--only``.
        place: ``module:function`` within this package; the function is a `Take`.
        figures: The figures that it yields.
        is_long: Whether ``--quick`` leaves it out.
        deadline: Seconds after which the measurement counts as hung.
    """

    name: str
    place: str
    figures: tuple[Figure, ...]
    is_long: bool = False
    deadline: float = 60.0

    def figures_of(self, values: Mapping[str, float]) -> Iterable[Figure]:
        """Return the figures of the numbers that it has yielded, by their names."""
        return self.figures

    def load(self) -> Take:
        """Import the function; this imports the library, which the runner does not need."""
        module, _, function = self.place.partition(":")
        take: Take = getattr(import_module(f"benchmarks.self.{module}"), function)
        return take
