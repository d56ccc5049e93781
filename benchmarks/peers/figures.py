"""The columns of the tables."""

from benchmarks.sessions.results import Figure

__all__ = ["FIGURES"]

FIGURES = (
    Figure("round_trip_p50", "round_trip", "round trip p50, ms", 1000),
    Figure("round_trip_p99", "round_trip", "round trip p99, ms", 1000),
    Figure(
        "submit_and_gather", "submit_and_gather", "submit and gather, calls/s", more_is_better=True
    ),
    Figure("map", "map", "map, calls/s", more_is_better=True),
    Figure("payload", "payload", "32 MB there and back, ms", 1000),
    Figure("shared_payload", "shared_payload", "50 MB to 200 calls, s"),
    Figure("start", "start", "start to first result, s"),
    Figure("import", "start", "import, s"),
)
