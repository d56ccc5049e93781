"""Computes what became of the calls of one row, from their executions and outcomes."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Found", "evaluate", "outcomes"]


@dataclass
class Found:
    """What became of the calls of one row.

    Attributes:
        calls: Number of calls that were made.
        values: Calls that ended in the right value.
        wrong: Calls that ended in another value.
        errors: Number of calls that raised an error, by kind of error.
        texts: Text of the first error of each kind.
        lost: Calls that no worker began, and that had no outcome at the end.
        hung: Calls that a worker began, and that had no outcome at the end.
        repeated: Calls that were begun more than once.
        most: The largest number of times that one call was begun.
        seconds: From the fault to the last value; None if no value came after it.
        remarks: Further remarks on the row.
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
        """Return plain values for JSON."""
        return asdict(self)


def outcomes(path: Path) -> dict[int, dict[str, Any]]:
    """Return the outcomes so far, by the number of the call."""
    if not path.exists():
        return {}
    *lines, _ = path.read_text().split("\n")  # An incomplete last line is being written.
    return {outcome["number"]: outcome for outcome in map(json.loads, lines)}


def evaluate(
    calls: Iterable[int],
    outcome_of: dict[int, dict[str, Any]],
    begun: Iterable[int],
    since: float,
) -> Found:
    """Compute what became of calls from their executions and outcomes.

    Args:
        calls: Numbers of all calls that were made; the right value of a call is its number.
        outcome_of: What `outcomes` returned.
        begun: Number of the call of each execution.
        since: Time of the fault, in seconds since the epoch.
    """
    numbers = set(calls)
    times = Counter(number for number in begun if number in numbers)
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
