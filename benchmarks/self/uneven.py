"""Measures calls that sleep, on more workers than there are cores, against the ideal."""

import time
from collections.abc import Callable, Sequence

from benchmarks.self.functions import pause
from benchmarks.self.ideal import makespan
from benchmarks.self.processes import Processes
from distribute_challenge import LocalCluster

__all__ = ["WAYS", "by_map", "by_submit", "many_workers", "uneven"]

UNEVEN = (10.0, *[0.1] * 40)
UNEVEN_SLOTS = 8
MANY = (0.1,) * 10_000
MANY_SLOTS = 64


def uneven(workers: int) -> dict[str, float]:
    """Measure one call of 10 s and 40 of 0.1 s on 8 slots."""
    with LocalCluster(UNEVEN_SLOTS):
        Processes.of_cluster(UNEVEN_SLOTS)
        return {f"uneven_{name}": run(UNEVEN) for name, run in WAYS.items()}


def many_workers(workers: int) -> dict[str, float]:
    """Measure 10,000 calls of 0.1 s on 64 workers, as a share of the ideal throughput."""
    ideal = makespan(MANY, MANY_SLOTS)
    with LocalCluster(MANY_SLOTS):
        Processes.of_cluster(MANY_SLOTS)
        return {f"many_workers_{name}": 100 * ideal / run(MANY) for name, run in WAYS.items()}


def by_map(durations: Sequence[float]) -> float:
    """Return the seconds that one ``map`` over calls of these durations takes."""
    began = time.perf_counter()
    for _ in pause.map(durations):
        pass
    return time.perf_counter() - began


def by_submit(durations: Sequence[float]) -> float:
    """Return the seconds that ``submit`` of each such call and all results take."""
    began = time.perf_counter()
    for future in [pause(seconds).submit() for seconds in durations]:
        future.result()
    return time.perf_counter() - began


WAYS: dict[str, Callable[[Sequence[float]], float]] = {"map": by_map, "submit": by_submit}
