"""The results of a run: all raw figures as JSON, and medians with their spread."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.sessions.entry import OURS

__all__ = ["Figure", "Run", "Summary", "load", "ratio", "save", "summary", "title"]

Run = dict[str, Any]  # The JSON document: "machine", "options", "peers".


@dataclass(frozen=True)
class Figure:
    """A quantity of which each system has a number; a column or a row of the tables.

    Attributes:
        key: Name of the figure in the records.
        measurement: The measurement that yields it; its failures explain a missing figure.
        heading: Its name, and behind the last comma the unit.
        scale: Factor for the recorded number, which is in seconds or calls per second.
        more_is_better: Whether the figure is a speed and not a time.
        is_compared: Whether ratios mean something; they do not where next to nothing is good.
    """

    key: str
    measurement: str
    heading: str
    scale: float = 1.0
    more_is_better: bool = False
    is_compared: bool = True

    @property
    def unit(self) -> str:
        """The unit of the scaled number."""
        return self.heading.rpartition(", ")[2]


@dataclass(frozen=True)
class Summary:
    """One figure of one peer over all rounds, scaled to the figure's unit.

    Attributes:
        extrapolated: Whether the figure is extrapolated, as not all calls were made.
    """

    median: float
    lowest: float
    highest: float
    extrapolated: bool = False


def summary(record: Mapping[str, Any], figure: Figure) -> Summary | None:
    """Return the median and the spread of a figure; None if no round has it."""
    values = [each[figure.key] * figure.scale for each in record["rounds"] if figure.key in each]
    if not values:
        return None
    guessed = any(each.get(f"{figure.key}_extrapolated") for each in record["rounds"])
    return Summary(median(values), min(values), max(values), guessed)


def ratio(run: Run, name: str, figure: Figure) -> float | None:
    """Return how many times better this library's median is than the peer's.

    Below 1 the peer is ahead. None if either has no such figure, or it is not compared.
    """
    ours, theirs = (
        summary(run["peers"][each], figure) if each in run["peers"] else None
        for each in (OURS, name)
    )
    if ours is None or theirs is None or not figure.is_compared:
        return None
    return ours.median / theirs.median if figure.more_is_better else theirs.median / ours.median


def title(run: Run, name: str) -> str:
    """Return a peer's title, or its name for ``--only`` if its session never sent the title."""
    return str(run["peers"][name]["facts"].get("title", name))


def save(run: Run, path: Path) -> None:
    """Write a run as JSON."""
    path.write_text(json.dumps(run, indent=1, ensure_ascii=False) + "\n")


def load(path: Path) -> Run:
    """Read what `save` wrote."""
    run: Run = json.loads(path.read_text())
    return run
