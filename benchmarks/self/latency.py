"""Measures calls one after the other, each waited for, and their cost in each process."""

import time
from statistics import median

from benchmarks.self.functions import same
from benchmarks.self.processes import Processes
from distribute_challenge import LocalCluster

__all__ = ["idle_round_trip", "percentile", "round_trip"]

ROUND_TRIPS = 2_000
WARM_UP = 200


def round_trip(workers: int) -> dict[str, float]:
    """Measure ``compute()`` of a call that does nothing."""
    with LocalCluster(workers):
        processes = Processes.of_cluster(workers)
        _round_trips(WARM_UP)
        before = processes.cpu_seconds()
        times = _round_trips(ROUND_TRIPS)
        costs = processes.cpu_microseconds_per_call(before, ROUND_TRIPS)
    return {
        "round_trip_p50": median(times) * 1000,
        "round_trip_p99": percentile(times, 99) * 1000,
        **{f"round_trip_cpu_{kind}": cost for kind, cost in costs.items()},
    }


def idle_round_trip() -> float:
    """Return the seconds of a round trip on the current cluster while nothing else runs."""
    _round_trips(WARM_UP)
    return median(_round_trips(WARM_UP))


def percentile(values: list[float], percent: int) -> float:
    """Return the smallest value that this many percent of the values do not exceed.

    Example:
        >>> percentile([0.3, 0.1, 0.2], 99)
        0.3
    """
    return sorted(values)[min(len(values) * percent // 100, len(values) - 1)]


def _round_trips(count: int) -> list[float]:
    times = []
    for number in range(count):
        began = time.perf_counter()
        result = same(number).compute()
        times.append(time.perf_counter() - began)
        assert result == number
    return times
