"""The targets of a run, and what was reached: the table of docs/benchmarks.md.

Figures of the peers come from the run's rounds. Figures that only make sense for the library itself
come from `benchmarks.self`, which the same run measures.
"""

from benchmarks.markdown import number
from benchmarks.peers.catalogue import FLOOR
from benchmarks.peers.figures import FIGURES
from benchmarks.self.results import Results
from benchmarks.sessions import targets
from benchmarks.sessions.entry import OURS
from benchmarks.sessions.results import Run, ratio, summary
from benchmarks.sessions.targets import Found, Question, Target, held, ours, peers, times

__all__ = ["OWN_MEASUREMENTS", "TARGETS", "as_markdown"]

OWN_MEASUREMENTS = ("consumed", "shared_array", "uneven", "many_workers")
"""Of `benchmarks.self`: what a run needs beside the peers."""

OVER_TCP = "distribute_challenge_tcp"
NO_PEERS = (OURS, FLOOR)

_COLUMNS = {figure.key: figure for figure in FIGURES}


def as_markdown(run: Run) -> str:
    """Return the table, with what was reached and the best peer."""
    return targets.as_markdown(run, TARGETS, NO_PEERS)


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
        "at most 1.0 ms, and below every peer that crosses machines",
        (ours(_COLUMNS["round_trip_p50"], most=1.0), _ahead_across_machines),
        _COLUMNS["round_trip_p50"],
    ),
    Target(
        "`submit` one by one and gather, no-op",
        "100,000 calls/s; at least 8 × ProcessPool and 100 × plain Celery",
        (
            ours(_COLUMNS["submit_and_gather"], least=100_000),
            times(_COLUMNS["submit_and_gather"], "process_pool", 8),
            times(_COLUMNS["submit_and_gather"], "celery", 100),
        ),
        _COLUMNS["submit_and_gather"],
    ),
    Target(
        "`map`, no-op",
        "1,000,000 calls/s; at least 4 × joblib",
        (ours(_COLUMNS["map"], least=1_000_000), times(_COLUMNS["map"], "joblib", 4)),
        _COLUMNS["map"],
    ),
    Target(
        "a million no-op calls by `map`, results consumed as they come",
        "2 s, client memory growth under 50 MB",
        (_own("consumed_seconds", most=2.0), _own("consumed_memory_client", most=50.0)),
    ),
    Target(
        "32 MB array there and back, `x + 1` on the worker",
        "60 ms embedded; through Redis at most 1.2 × bare Redis",
        (ours(_COLUMNS["payload"], most=60.0), _beside_bare_redis),
        _COLUMNS["payload"],
    ),
    Target(
        "the same 50 MB array as argument of 200 calls",
        "at most 60 MB to Redis, under 5 ms after the first call, one copy per worker",
        (
            _own("shared_redis", most=60.0, what="Redis"),
            _own("shared_later", most=5.0, what="a call"),
            _own("shared_memory", most=60.0, what="each worker"),
        ),
        _COLUMNS["shared_payload"],
    ),
    Target(
        "script start to first result, nothing configured",
        "0.6 s",
        (ours(_COLUMNS["start"], most=0.6),),
        _COLUMNS["start"],
    ),
    Target(
        "`import distribute_challenge`",
        "0.06 s",
        (ours(_COLUMNS["import"], most=0.06),),
        _COLUMNS["import"],
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
