"""The targets of a run."""

from benchmarks.queues.measurements import IDLE, MEASUREMENTS
from benchmarks.sessions.entry import OURS
from benchmarks.sessions.results import Run, summary
from benchmarks.sessions.targets import Found, Target, held, ours, takes, times

__all__ = ["TARGETS"]

# Of a core, by which a cluster with consumers may be busier than the same one without.
NO_CPU = 1.0

_FIGURES = {each.figure.key: each.figure for each in MEASUREMENTS}


def _busier(run: Run) -> Found | None:
    """Compare a cluster whose consumers wait with one that has none."""
    figure = _FIGURES["waiting"]
    waiting, idle = (
        summary(run["peers"][name], figure) if name in run["peers"] else None
        for name in (OURS, IDLE)
    )
    if waiting is None or idle is None:
        return None
    return held(max(0.0, waiting.median - idle.median), figure.unit, NO_CPU, None)


TARGETS = (
    Target(
        "a million empty items put, given to a function and acknowledged",
        "10 s",
        (ours(_FIGURES["consumed"], most=10.0),),
        _FIGURES["consumed"],
    ),
    Target(
        "put and get of 100-byte items in blocks, one producer, one consumer",
        "at least 5 × multiprocessing.Queue",
        (times(_FIGURES["batches"], "multiprocessing.Queue", 5),),
        _FIGURES["batches"],
    ),
    Target(
        "from one `put` to its consumer",
        "at most 1.2 × the way of a call by `compute`",
        (takes(_FIGURES["latency"], "compute", 1.2),),
    ),
    Target(
        "50 waiting consumers",
        f"no CPU: at most {NO_CPU:g} % of a core more than the same cluster without them",
        (_busier,),
        why="each sends one or two commands every five seconds, in case that a process died just "
        "when it was woken, and they are called again so that other calls have their turn",
    ),
)
