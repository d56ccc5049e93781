"""Measures calls that raise, and what their tracebacks cost."""

import time
import timeit
from collections.abc import Callable
from statistics import median

from benchmarks.self.functions import fail
from distribute_challenge import LocalCluster
from distribute_challenge.serialisation import dumps_error, loads_error

__all__ = ["failed"]

ROUND_TRIPS = 1_000
WARM_UP = 100
ITEMS = 20_000
TRACEBACKS = 5_000


def failed(workers: int) -> dict[str, float]:
    """Measure calls that raise, one by one and in a map, and what one traceback costs."""
    with LocalCluster(workers):
        times = [_failed_round_trip() for _ in range(WARM_UP + ROUND_TRIPS)][WARM_UP:]
        began = time.perf_counter()
        errors = list(fail.map(range(ITEMS), on_error="return"))
        seconds = time.perf_counter() - began
    assert all(isinstance(error, ValueError) for error in errors)
    error = _raised()
    data = dumps_error(error)
    return {
        "failed_round_trip_p50": median(times) * 1000,
        "failed_map": ITEMS / seconds,
        "traceback_packed": _microseconds(lambda: dumps_error(error)),
        "traceback_loaded": _microseconds(lambda: loads_error(data)),
    }


def _raised() -> ValueError:
    try:
        fail.local(1)
    except ValueError as error:
        return error
    raise AssertionError("it did not raise")


def _failed_round_trip() -> float:
    began = time.perf_counter()
    try:
        fail(1).compute()
    except ValueError:
        return time.perf_counter() - began
    raise AssertionError("it did not raise")


def _microseconds(statement: Callable[[], object]) -> float:
    return min(timeit.repeat(statement, number=TRACEBACKS, repeat=3)) / TRACEBACKS * 1e6
