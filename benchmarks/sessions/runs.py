"""Makes a whole run: what the systems have found, with the machine and the options."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.sessions import rounds as sessions
from benchmarks.sessions.entry import Entry
from benchmarks.sessions.environments import default_folder
from benchmarks.sessions.results import Run
from benchmarks.sessions.rounds import Plan
from distribute_challenge.cluster.redis_server import server_program

__all__ = ["measured"]


def measured(
    entries: Sequence[Entry],
    plan: Plan,
    *,
    workers: int,
    rounds: int,
    say: Callable[[str], None],
    environments: Path | None = None,
    **options: Any,
) -> Run:
    """Measure systems, and return the run.

    Args:
        entries: Systems to measure, in order.
        plan: What to measure.
        workers: Worker processes of each system.
        rounds: How often each system is measured.
        say: Gets lines of text that tell the user how far the run is.
        environments: Folder for the environments of systems that need one of their own; None: in
            the user's cache folder.
        options: What else the run is to remember, such as whether it was a quick one.
    """
    machine, began = describe_machine(), time.monotonic()
    records = sessions.run(
        entries,
        plan,
        workers=workers,
        rounds=rounds,
        redis_server=server_program(),
        environments=environments or default_folder(),
        say=say,
    )
    took = round(time.monotonic() - began)
    return {
        "machine": machine,
        "options": {"workers": workers, "rounds": rounds, **options, "took_seconds": took},
        "peers": records,
    }
