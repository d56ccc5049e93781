"""Measures one large array as argument of many calls.

The figures are the bytes that go through Redis, the time of each call, and the memory of workers.
"""

import time
from statistics import median
from typing import Any

import numpy
import psutil

from benchmarks.self.functions import item
from benchmarks.self.processes import MEGABYTE, Processes
from distribute_challenge import LocalCluster
from distribute_challenge.execution_backends.celery.broker.connection import connect

__all__ = ["shared_array"]

BYTES = 50_000_000
CALLS = 200
LIMIT = 10.0  # Seconds for all calls; beyond that, bytes are extrapolated from some of them.


def shared_array(workers: int) -> dict[str, float]:
    """Measure a 50 MB array as argument of 200 calls, one after the other."""
    array = numpy.arange(BYTES // 8, dtype=numpy.float64)
    with LocalCluster(workers) as cluster:
        processes = Processes.of_cluster(workers)
        server = connect(cluster.broker_url)
        before, had = _received(server), [_own_megabytes(child) for child in processes.children]
        after_first = 0.0
        times: list[float] = []
        end = time.perf_counter() + LIMIT
        while len(times) < CALLS and time.perf_counter() < end:
            began = time.perf_counter()
            result = item(array, len(times)).compute()
            assert result == len(times)
            times.append(time.perf_counter() - began)
            if len(times) == 1:
                after_first = _received(server)
        added = max(
            _own_megabytes(child) - then
            for child, then in zip(processes.children, had, strict=True)
        )
        for_each_later = (_received(server) - after_first) / (len(times) - 1)
        server.close()
    return {
        "shared_redis": after_first - before + for_each_later * (CALLS - 1),
        "shared_first": times[0] * 1000,
        "shared_later": median(times[1:]) * 1000,
        "shared_memory": added,
    }


def _received(server: Any) -> float:
    """Return what the server has read from all its clients, in units of 2**20 bytes."""
    return float(server.info("stats")["total_net_input_bytes"] / MEGABYTE)


def _own_megabytes(process: psutil.Process) -> float:
    """Return the memory that a process shares with no other, in units of 2**20 bytes."""
    return float(process.memory_full_info().uss / MEGABYTE)
