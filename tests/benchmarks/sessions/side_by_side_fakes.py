"""Measurements that need nothing installed.

``python -m tests.benchmarks.sessions.side_by_side_fakes`` measures, and prints the run as JSON. With
the name of a system and a number of workers, it is that system's session.
"""

import json
import sys
from functools import partial

from benchmarks.sessions import rounds
from benchmarks.sessions.entry import OURS
from benchmarks.sessions.results import Figure
from benchmarks.sessions.side_by_side import Measurement, SideBySide
from benchmarks.sessions.targets import Target, times

__all__ = ["FAKES", "RUN"]

RUN = ("-m", "tests.benchmarks.sessions.side_by_side_fakes")
SPEED = Figure("speed", "speed", "how fast, calls/s", more_is_better=True)
TIME = Figure("time", "time", "how long, ms", 1000)


def speed(system: str, workers: int, scale: float) -> float:
    return workers * scale * (10 if system == OURS else 4)


def time(system: str, workers: int, scale: float) -> float:
    if system == "loky":
        raise ValueError("no time")
    return 0.5


FAKES = SideBySide(
    "fakes",
    "Fakes",
    [Measurement(SPEED, speed, [OURS, "Ray"]), Measurement(TIME, time, [OURS, "loky"])],
    [
        Target("how fast", "at least 2 × Ray", (times(SPEED, "Ray", 2),), SPEED),
        Target("how long", "less than loky", (times(TIME, "loky", 1),), TIME),
    ],
)


def _run_all() -> None:
    rounds.START_DEADLINE = rounds.STOP_DEADLINE = 60.0
    FAKES.session = RUN[1]
    say = partial(print, file=sys.stderr)
    found = FAKES.measure(FAKES.chosen([]), workers=3, rounds=2, scale=0.5, say=say)
    print(json.dumps(found))


if __name__ == "__main__":
    if len(sys.argv) == 1:
        _run_all()
    else:
        FAKES.serve(sys.argv[1], int(sys.argv[2]))
