"""Measures many calls that do nothing: the speed of the library itself, and its memory."""

import time

from benchmarks.self.functions import same
from benchmarks.self.processes import Processes
from distribute_challenge import LocalCluster

__all__ = ["consumed", "mapped", "submitted"]

FUTURES = 100_000
ITEMS = 1_000_000
WARM_UP = 10_000
LOOK_EVERY = 20_000  # Results between two looks at the client's memory.


def submitted(workers: int) -> dict[str, float]:
    """Measure ``submit()`` one by one, and then all results."""
    with LocalCluster(workers):
        processes = Processes.of_cluster(workers)
        assert sum(same.map(range(WARM_UP))) == sum(range(WARM_UP))
        before = processes.cpu_seconds()
        began = time.perf_counter()
        futures = [same(number).submit() for number in range(FUTURES)]
        submits = time.perf_counter() - began
        total = sum(future.result() for future in futures)
        seconds = time.perf_counter() - began
        costs = processes.cpu_microseconds_per_call(before, FUTURES)
    assert total == sum(range(FUTURES))
    return {
        "submit_alone": FUTURES / submits,
        "submit_and_results": FUTURES / seconds,
        **{f"submit_cpu_{kind}": cost for kind, cost in costs.items()},
    }


def mapped(workers: int) -> dict[str, float]:
    """Measure ``map`` with all results kept in a list."""
    with LocalCluster(workers):
        processes = Processes.of_cluster(workers)
        client, children = processes.client_megabytes(), processes.child_megabytes()
        before = processes.cpu_seconds()
        began = time.perf_counter()
        results = list(same.map(range(ITEMS)))
        seconds = time.perf_counter() - began
        costs = processes.cpu_microseconds_per_call(before, ITEMS)
        added_to_client = processes.client_megabytes() - client
        added_to_child = _most_added(children, processes)
    assert results == list(range(ITEMS))
    return {
        "map": ITEMS / seconds,
        "map_memory_client": added_to_client,
        "map_memory_child": added_to_child,
        **{f"map_cpu_{kind}": cost for kind, cost in costs.items()},
    }


def consumed(workers: int) -> dict[str, float]:
    """Measure ``map`` with results used as they come and not kept, and the most memory."""
    with LocalCluster(workers):
        processes = Processes.of_cluster(workers)
        client, children = processes.client_megabytes(), processes.child_megabytes()
        most = client
        total = 0
        began = time.perf_counter()
        for count, result in enumerate(same.map(range(ITEMS), ordered=False)):
            total += result
            if count % LOOK_EVERY == 0:
                most = max(most, processes.client_megabytes())
        seconds = time.perf_counter() - began
        added_to_child = _most_added(children, processes)
    assert total == sum(range(ITEMS))
    return {
        "consumed_seconds": seconds,
        "consumed_memory_client": most - client,
        "consumed_memory_child": added_to_child,
    }


def _most_added(before: list[float], processes: Processes) -> float:
    return max(now - then for then, now in zip(before, processes.child_megabytes(), strict=True))
