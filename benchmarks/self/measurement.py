"""A measurement: a function that runs in a process of its own, and the figures that it yields."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from benchmarks.self.figure import Figure

__all__ = ["Measurement", "Take"]

Take = Callable[[int], dict[str, float]]
"""Takes the number of worker processes, where the measurement leaves that open; returns numbers by the names of figures."""


@dataclass(frozen=True)
class Measurement:
    """Figures that are taken together.

    Attributes:
        name: What ``--only`` takes.
        place: ``module:function`` within this package; the function is a `Take`.
        figures: What it yields.
        is_long: Whether ``--quick`` leaves it out.
        deadline: Seconds after which it counts as hung.
    """

    name: str
    place: str
    figures: tuple[Figure, ...]
    is_long: bool = False
    deadline: float = 60.0

    def load(self) -> Take:
        """The function. Importing it imports the library, which the runner has no need of."""
        module, _, function = self.place.partition(":")
        take: Take = getattr(import_module(f"benchmarks.self.{module}"), function)
        return take
