"""The results of a run: all raw figures as JSON, and medians with their spread."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.peers.catalogue import OURS

__all__ = ["FIGURES", "Figure", "Summary", "load", "ratio", "save", "summary", "title"]

Run = dict[str, Any]  # The JSON document: "machine", "options", "peers".


@dataclass(frozen=True)
class Figure:
    """A column of the tables.

    Attributes:
        key: Name of the figure in the records.
        measurement: The measurement that yields it; its failures explain a missing figure.
        heading: Head of the column, with the unit.
        scale: Factor for the recorded number, which is in seconds or calls per second.
        more_is_better: Whether the figure is a speed and not a time.
    """

    key: str
    measurement: str
    heading: str
    scale: float = 1.0
    more_is_better: bool = False


FIGURES = (
    Figure("round_trip_p50", "round_trip", "round trip p50, ms", 1000),
    Figure("round_trip_p99", "round_trip", "round trip p99, ms", 1000),
    Figure(
        "submit_and_gather", "submit_and_gather", "submit and gather, calls/s", more_is_better=True
    ),
    Figure("map", "map", "map, calls/s", more_is_better=True),
    Figure("payload", "payload", "32 MB there and back, ms", 1000),
    Figure("shared_payload", "shared_payload", "50 MB to 200 calls, s"),
    Figure("start", "start", "start to first result, s"),
    Figure("import", "start", "import, s"),
)


@dataclass(frozen=True)
class Summary:
    """One figure of one peer over all rounds, scaled to the unit of its column.

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

    Below 1 the peer is ahead. None if either has no such figure.
    """
    ours, theirs = (
        summary(run["peers"][each], figure) if each in run["peers"] else None
        for each in (OURS, name)
    )
    if ours is None or theirs is None:
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
