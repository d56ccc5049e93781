"""The targets of a run.

Figures of the peers come from the run's rounds. Figures that only make sense for the library itself
come from `benchmarks.self`, which the same run measures.
"""

from benchmarks.markdown import number
from benchmarks.peers.figures import FIGURES
from benchmarks.self.results import Results
from benchmarks.sessions.entry import FLOOR, OURS
from benchmarks.sessions.results import Run, ratio, summary
from benchmarks.sessions.targets import Found, Question, Target, held, peers, takes, times

__all__ = ["NO_PEERS", "OWN_MEASUREMENTS", "TARGETS"]

OWN_MEASUREMENTS = ("consumed", "shared_array", "uneven", "many_workers")
"""Of `benchmarks.self`: what a run needs beside the peers."""

OVER_TCP = "distribute_challenge_tcp"
NO_PEERS = (OURS, FLOOR)

_COLUMNS = {figure.key: figure for figure in FIGURES}


def _own(
    name: str, *, most: float | None = None, least: float | None = None, what: str = ""
) -> Question:
    """Make a question for a figure of `benchmarks.self`, in its unit."""

    def ask(run: Run) -> Found | None:
        series = Results.from_json(run["self"]).series.get(name) if "self" in run else None
        return (
            None if series is None else held(series.median, series.figure.unit, most, least, what)
        )

    return ask


def _ahead_across_machines(run: Run) -> Found | None:
    """Find out whether a round trip is shorter than with every peer that crosses machines."""
    crossing = peers(run, NO_PEERS, crossing=True)
    known = [
        each
        for name in crossing
        if (each := ratio(run, name, _COLUMNS["round_trip_p50"])) is not None
    ]
    return (
        Found(f"×{number(min(known))} the next that crosses machines", min(known) > 1)
        if known
        else None
    )


def _beside_bare_redis(run: Run) -> Found | None:
    """Compare the cost of a payload through Redis over TCP with the cost of its bytes alone."""
    through_redis, bare = (
        summary(run["peers"][name], _COLUMNS["payload"]) if name in run["peers"] else None
        for name in (OVER_TCP, FLOOR)
    )
    if through_redis is None or bare is None:
        return None
    factor = through_redis.median / bare.median
    return Found(f"×{number(factor)} bare Redis over TCP", factor <= 1.2)


TARGETS = (
    Target(
        "one call, round trip p50",
        "at most 0.75 × Huey and 3.5 × bare Redis; below every peer that crosses machines",
        (
            takes(_COLUMNS["round_trip_p50"], "huey", 0.75),
            takes(_COLUMNS["round_trip_p50"], FLOOR, 3.5),
            _ahead_across_machines,
        ),
        _COLUMNS["round_trip_p50"],
        why="calls are signed, and acknowledged after their work; a task of Huey is not signed, and "
        "leaves its queue before it runs",
    ),
    Target(
        "`submit` one by one and gather, no-op",
        "at least 10 × ProcessPool and 100 × plain Celery",
        (
            times(_COLUMNS["submit_and_gather"], "process_pool", 10),
            times(_COLUMNS["submit_and_gather"], "celery", 100),
        ),
        _COLUMNS["submit_and_gather"],
        why="the client is the limit: Python's garbage collector visits all futures that it holds",
    ),
    Target(
        "`map`, no-op",
        "at least ProcessPool with `chunksize`, and 6 × joblib",
        (times(_COLUMNS["map"], "process_pool", 1), times(_COLUMNS["map"], "joblib", 6)),
        _COLUMNS["map"],
    ),
    Target(
        "a million no-op calls by `map`, results consumed as they come",
        "2 s, client memory growth under 50 MB",
        (_own("consumed_seconds", most=2.0), _own("consumed_memory_client", most=50.0)),
    ),
    Target(
        "32 MB array there and back, `x + 1` on the worker",
        "at most Ray's time; through Redis at most 1.2 × bare Redis",
        (takes(_COLUMNS["payload"], "ray", 1), _beside_bare_redis),
        _COLUMNS["payload"],
        why="Ray's processes have one pool of memory mapped for good; here each value is a file, "
        "whose pages the kernel finds anew when it is written and when it is read",
    ),
    Target(
        "the same 50 MB array as argument of 200 calls",
        "faster than Ray and joblib; at most 60 MB to Redis, under 5 ms after the first call, one "
        "copy per worker",
        (
            times(_COLUMNS["shared_payload"], "ray", 1),
            times(_COLUMNS["shared_payload"], "joblib", 1),
            _own("shared_redis", most=60.0, what="Redis"),
            _own("shared_later", most=5.0, what="a call"),
            _own("shared_memory", most=60.0, what="each worker"),
        ),
        _COLUMNS["shared_payload"],
    ),
    Target(
        "script start to first result, nothing configured",
        "at most loky's time",
        (takes(_COLUMNS["start"], "loky", 1),),
        _COLUMNS["start"],
        why="a worker of Celery is started, which takes more than half of the time, and Redis "
        "before it",
    ),
    Target(
        "`from distribute_challenge import compute_this`",
        "at most loky's time",
        (takes(_COLUMNS["import"], "loky", 1),),
        _COLUMNS["import"],
        why="half of the time goes into `typing`, `logging`, `dataclasses` and `inspect` of the "
        "standard library",
    ),
    Target(
        "one call of 10 s and 40 of 0.1 s on 8 slots",
        "ends within 10.5 s",
        (
            _own("uneven_map", most=10.5, what="`map`"),
            _own("uneven_submit", most=10.5, what="`submit`"),
        ),
    ),
    Target(
        "64 workers, 10,000 calls that sleep 0.1 s",
        "at least 95 % of ideal throughput",
        (
            _own("many_workers_map", least=95.0, what="`map`"),
            _own("many_workers_submit", least=95.0, what="`submit`"),
        ),
    ),
)
