"""Runs the peers: one session for each peer and round, which takes all measurements."""

import contextlib
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.sessions import rounds as sessions
from benchmarks.sessions.entry import Entry
from benchmarks.sessions.rounds import Figures, Plan, Record

__all__ = ["run"]

MEASURE_DEADLINE = 60.0  # Seconds beyond those that a measurement should last.
SESSION = "benchmarks.peers.session"  # Module that runs in the process of a peer.


def run(
    entries: Sequence[Entry],
    measurements: Sequence[str],
    *,
    workers: int,
    rounds: int,
    seconds: float,
    redis_server: str,
    environments: Path,
    say: Callable[[str], None],
) -> dict[str, Record]:
    """Measure all peers.

    Args:
        entries: Peers to measure, in order.
        measurements: What to measure, in order.
        workers: Worker processes of each peer.
        rounds: How often each peer is measured.
        seconds: How long one measurement should last, in seconds.
        redis_server: Path of the server program for the peers that need one.
        environments: Folder for the environments of peers that need one of their own.
        say: Gets lines of text that tell the user how far the run is.

    Returns:
        The records of `benchmarks.sessions.rounds.run`, by the names of the peers.
    """
    plan = Plan(
        session=SESSION,
        groups=[measurements],
        deadline=lambda _: MEASURE_DEADLINE + seconds,
        order={"seconds": seconds},
        afterwards=_import,
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


def _import(record: Record, python: str) -> Figures:
    """Measure the peer's import, in a fresh interpreter."""
    line = record["facts"]["import_line"]
    code = f"import time; began = time.perf_counter(); {line}; print(time.perf_counter() - began)"
    with contextlib.suppress(subprocess.SubprocessError, ValueError):
        done = subprocess.run(
            [python, "-c", code],
            capture_output=True,
            text=True,
            timeout=sessions.START_DEADLINE,
            check=True,
        )
        return {"import": float(done.stdout)}
    return {}
