"""The targets of a run, and what was reached."""

from benchmarks.graph.catalogue import OVER_TCP
from benchmarks.graph.figures import FIGURES
from benchmarks.markdown import number
from benchmarks.sessions.entry import OURS
from benchmarks.sessions.results import Run, summary
from benchmarks.sessions.targets import Found, Target, ours, times

__all__ = ["TARGETS"]

# Of the rate without the total, which varies from run to run.
NO_WORSE = 0.9

_FIGURES = {figure.key: figure for figure in FIGURES}


def _beside_submit_alone(run: Run) -> Found | None:
    """Compare calls and their total with the same calls alone."""
    record = run["peers"].get(OURS)
    both, alone = (
        summary(record, _FIGURES[key]) if record else None for key in ("fan_out", "fan_out_alone")
    )
    if both is None or alone is None:
        return None
    share = both.median / alone.median
    return Found(f"×{number(share)} `submit` alone", share >= NO_WORSE)


TARGETS = (
    Target(
        "tree: 2,048 leaves, sums in pairs, futures as arguments, one by one",
        "at least 40 × Ray, 200 × Dask",
        (times(_FIGURES["tree"], "ray", 40), times(_FIGURES["tree"], "dask", 200)),
        _FIGURES["tree"],
    ),
    Target(
        "chain of 300, submitted call by call",
        "at least 20 × Ray",
        (times(_FIGURES["chain"], "ray", 20),),
        _FIGURES["chain"],
    ),
    Target(
        "chain of 10,000, known at once",
        "0.5 s",
        (ours(_FIGURES["long_chain"], most=0.5),),
        _FIGURES["long_chain"],
    ),
    Target(
        "10,000 calls and their total",
        "at least 20 × Ray, 100 × Dask; no worse than `submit` alone",
        (
            times(_FIGURES["fan_out"], "ray", 20),
            times(_FIGURES["fan_out"], "dask", 100),
            _beside_submit_alone,
        ),
        _FIGURES["fan_out"],
    ),
    Target(
        "24 calls, each of which needs all of 24 others",
        "at least 10 × Ray",
        (times(_FIGURES["rows"], "ray", 10),),
        _FIGURES["rows"],
    ),
    Target(
        "100 layers × 100 calls, 10 needs each",
        "at least 10 × Ray; at most 5 µs of the client's CPU for each need",
        (times(_FIGURES["layers"], "ray", 10), ours(_FIGURES["layers_cpu"], most=5.0)),
        _FIGURES["layers"],
    ),
    Target(
        "32 MB array through 10 links",
        "at least 3 × faster than Ray and Dask; the client grows by less than 5 MB",
        (
            times(_FIGURES["array_chain"], "ray", 3),
            times(_FIGURES["array_chain"], "dask", 3),
            ours(_FIGURES["array_chain_client"], most=5.0, what="client"),
        ),
        _FIGURES["array_chain"],
        why="a message has 8 MB of large results at most, so each link is a message of its own",
    ),
    Target(
        "50 arrays of 32 MB between two layers",
        "the client grows by less than 50 MB, over TCP too; embedded Redis by less than 5 MB",
        (
            ours(_FIGURES["arrays_client"], most=50.0, what="client"),
            ours(_FIGURES["arrays_client"], most=50.0, what="over TCP", name=OVER_TCP),
            ours(_FIGURES["arrays_redis"], most=5.0, what="Redis"),
        ),
        _FIGURES["arrays"],
    ),
    Target(
        "a million calls, computed at once",
        "at most 1.5 kB of the client's memory for each",
        (ours(_FIGURES["nodes_client"], most=1.5),),
    ),
)
