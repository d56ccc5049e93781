"""What came of the calls of one row, from the two files that tell: who began what, and what came
back.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Found", "evaluate", "executions", "outcomes"]


@dataclass
class Found:
    """What a row tells.

    Attributes:
        calls: How many were made.
        values: How many ended in their value.
        wrong: How many ended in another value.
        errors: How many ended in which kind of error.
        texts: The first error of each kind, in its own words.
        lost: How many had no outcome at the end and were never begun.
        hung: How many had no outcome at the end, though they were begun.
        repeated: How many were begun more than once.
        most: How often the one was begun that was begun most often.
        seconds: From the fault to the last value; None if there is none after it.
        remarks: What else there is to tell.
    """

    calls: int = 0
    values: int = 0
    wrong: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    lost: int = 0
    hung: int = 0
    repeated: int = 0
    most: int = 0
    seconds: float | None = None
    remarks: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For the record."""
        return asdict(self)


def executions(path: Path) -> list[tuple[int, int]]:
    """Number of the call and process id of each execution so far, in their order."""
    if not path.exists():
        return []
    *lines, _ = path.read_text().split("\n")  # What follows the last line's end is being written.
    return [(int(number), int(pid)) for number, pid in (line.split() for line in lines)]


def outcomes(path: Path) -> dict[int, dict[str, Any]]:
    """The outcome of each call that has one, by its number."""
    if not path.exists():
        return {}
    *lines, _ = path.read_text().split("\n")
    return {outcome["number"]: outcome for outcome in map(json.loads, lines)}


def evaluate(
    calls: Iterable[int],
    outcome_of: dict[int, dict[str, Any]],
    begun: Iterable[tuple[int, int]],
    since: float,
) -> Found:
    """Put the two together.

    Args:
        calls: Numbers of all that were made; each is the call's right value, too.
        outcome_of: What `outcomes` found.
        begun: What `executions` found.
        since: When the fault was, in seconds since the epoch.
    """
    numbers = set(calls)
    times = Counter(number for number, _ in begun if number in numbers)
    found = Found(
        calls=len(numbers),
        repeated=sum(count > 1 for count in times.values()),
        most=max(times.values(), default=0),
    )
    arrived = []
    for number in sorted(numbers):
        outcome = outcome_of.get(number)
        if outcome is None and times[number]:
            found.hung += 1
        elif outcome is None:
            found.lost += 1
        elif "error" in outcome:
            found.errors[outcome["error"]] = found.errors.get(outcome["error"], 0) + 1
            found.texts.setdefault(outcome["error"], outcome["text"])
        elif outcome["value"] != number:
            found.wrong += 1
        else:
            found.values += 1
            arrived.append(outcome["time"] - since)
    if arrived and max(arrived) > 0:
        found.seconds = max(arrived)
    return found
