"""Runs the systems: one session for each measurement, system and round.

So what one measurement leaves in memory is not there in the next, and a system that fails in one
takes no other with it.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.graph.measurements import MEASUREMENTS, Measurement
from benchmarks.sessions import rounds as sessions
from benchmarks.sessions.entry import Entry
from benchmarks.sessions.rounds import Plan, Record

__all__ = ["run"]

SESSION = "benchmarks.graph.session"  # Module that runs in the process of a system.


def run(
    entries: Sequence[Entry],
    measurements: Sequence[Measurement],
    *,
    workers: int,
    rounds: int,
    quick: bool,
    redis_server: str,
    environments: Path,
    say: Callable[[str], None],
) -> dict[str, Record]:
    """Measure all systems.

    Args:
        entries: Systems to measure, in order.
        measurements: What to measure, in order.
        workers: Worker processes of each system.
        rounds: How often each system is measured.
        quick: Whether graphs are small.
        redis_server: Path of the server program for the systems that need one.
        environments: Folder for the environments of systems that need one of their own.
        say: Gets lines of text that tell the user how far the run is.

    Returns:
        The records of `benchmarks.sessions.rounds.run`, by the names of the systems.
    """
    plan = Plan(
        session=SESSION,
        groups=[[measurement.name] for measurement in measurements],
        deadline=lambda name: MEASUREMENTS[name].deadline,
        order={"quick": quick},
    )
    return sessions.run(
        entries,
        plan,
        workers=workers,
        rounds=rounds,
        redis_server=redis_server,
        environments=environments,
        say=say,
    )
