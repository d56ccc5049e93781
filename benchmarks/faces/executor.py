"""`Executor` beside the standard library's.

The workers have been started and have imported what they need. A run submits calls that do nothing,
and waits for all their results.
"""

import time
from concurrent.futures import Executor, ProcessPoolExecutor

from benchmarks.sessions.entry import OURS
from benchmarks.sessions.results import Figure
from benchmarks.sessions.side_by_side import Measurement

__all__ = ["MEASUREMENTS"]

CALLS = 10_000


def nothing(number: int) -> int:
    return number


def submit(system: str, workers: int, scale: float) -> float:
    """Return the seconds from the first `submit` to the last result."""
    calls = max(1, round(CALLS * scale))

    def once(executor: Executor) -> float:
        began = time.perf_counter()
        for future in [executor.submit(nothing, number) for number in range(calls)]:
            future.result()
        return time.perf_counter() - began

    with _executor(system, workers) as executor:
        once(executor)
        return once(executor)


def _executor(system: str, workers: int) -> Executor:
    if system == "ProcessPoolExecutor":
        return ProcessPoolExecutor(workers)
    from distribute_challenge import Executor as Ours

    return Ours(workers)


MEASUREMENTS = (
    Measurement(
        Figure("submit", "submit", f"`Executor.submit` of {CALLS:,} calls, s"),
        submit,
        (OURS, "ProcessPoolExecutor"),
    ),
)
