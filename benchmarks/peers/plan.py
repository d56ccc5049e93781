"""Plans the sessions: one for each peer and round, which takes all measurements."""

import contextlib
import subprocess
from collections.abc import Sequence

from benchmarks.sessions.rounds import START_DEADLINE, Figures, Plan, Record

__all__ = ["plan"]

MEASURE_DEADLINE = 60.0  # Seconds beyond those that a measurement should last.
SESSION = "benchmarks.peers.session"  # Module that runs in the process of a peer.


def plan(measurements: Sequence[str], *, seconds: float) -> Plan:
    """Return what the peers are asked for.

    Args:
        measurements: What to measure, in order.
        seconds: How long one measurement should last, in seconds.
    """
    return Plan(
        session=SESSION,
        groups=[measurements],
        deadline=lambda _: MEASURE_DEADLINE + seconds,
        order={"seconds": seconds},
        afterwards=_import,
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
            timeout=START_DEADLINE,
            check=True,
        )
        return {"import": float(done.stdout)}
    return {}
