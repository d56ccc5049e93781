"""Measures what it costs to show a call's output at its client, and how long lines take."""

import io
import sys
import time
from statistics import median

from benchmarks.self.functions import spill, tell
from distribute_challenge import LocalCluster
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend

__all__ = ["printed"]

PIECES = 25  # Each is printed twice in turn: shown at this client, and not shown.
LINES = 40_000  # Lines of 100 bytes in each piece; all pieces have 100 MB.
CALLS = 100
EACH = 100  # Lines that each of these calls prints.
ROUND_TRIPS = 300


def printed(workers: int) -> dict[str, float]:
    """Measure a flood of lines, many calls with some lines each, and calls with one line.

    The flood has far more lines than the client shows.
    """
    terminal = sys.stdout
    screen = sys.stdout = _Screen()
    try:
        with (
            LocalCluster(workers) as cluster,
            CeleryExecutionBackend(cluster.broker_url, logs=True) as loud,
            CeleryExecutionBackend(cluster.broker_url, logs=False) as quiet,
        ):
            for backend in (loud, quiet):
                spill(1).compute(backend=backend)
            times: dict[CeleryExecutionBackend, list[float]] = {loud: [], quiet: []}
            for _ in range(PIECES):
                for backend, seconds in times.items():
                    seconds.append(spill(LINES).compute(backend=backend))
            futures = [tell(EACH).submit(loud) for _ in range(CALLS)]
            for future in futures:
                future.result()
            over, lines = time.time(), len(screen.delays)
            time.sleep(1)
            late, longest = max(0.0, screen.last - over), max(screen.delays)
            assert (lines, len(screen.delays)) == (CALLS * EACH, CALLS * EACH)
            trips = {
                backend: [_round_trip(backend) for _ in range(ROUND_TRIPS)]
                for backend in (loud, quiet)
            }
    finally:
        sys.stdout = terminal
    return {
        # The fastest of each: the others also measure what else runs on this machine.
        "printing_ratio": min(times[loud]) / min(times[quiet]),
        "printing_late": 1000 * late,
        "printing_longest": 1000 * longest,
        "printing_shown": 1000 * median(trips[loud]),
        "printing_silent": 1000 * median(trips[quiet]),
    }


class _Screen(io.StringIO):
    """A stand-in for the terminal, which records how long lines with a time in them took."""

    def __init__(self) -> None:
        super().__init__()
        self.delays: list[float] = []
        self.last = 0.0

    def write(self, text: str) -> int:
        now = time.time()
        for line in text.splitlines():
            source, _, told = line.partition(" │ ")
            if source.startswith("tell@"):
                self.delays.append(now - float(told))
                self.last = now
        return len(text)


def _round_trip(backend: CeleryExecutionBackend) -> float:
    began = time.perf_counter()
    spill(1).compute(backend=backend)
    return time.perf_counter() - began
