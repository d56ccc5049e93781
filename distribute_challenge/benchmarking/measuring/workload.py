"""The calls that are measured, and how many of them keep a cluster busy."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from distribute_challenge.benchmarking.recording import Plan
from distribute_challenge.decorator import compute_this
from distribute_challenge.distributable import Distributable
from distribute_challenge.execution_backends.registry import Choice

__all__ = ["WORKLOADS", "Workload", "spins_for", "workload_of"]

WORKLOADS = ("cpu", "sleep", "noop", "payload")

QUEUED = 0.5  # Seconds of work that each worker finds in the queue, beside the call that it runs.
FEWEST_CALLS = 3  # For each worker: one that runs, one that waits, one on its way.
# In flight at once, whatever the size: beyond that the client only holds more memory.
MOST_CALLS = 10_000
MOST_BYTES = 64 * 2**20  # Payload in flight, for the same reason, and to spare Redis' memory.

SHORTEST = 1e-4  # Seconds that a call is assumed to take at least on a worker.
CALIBRATION = 0.5  # Seconds of CPU time.
CALIBRATION_SPINS = 20_000


@compute_this()
def spin(times: int) -> int:
    """Keep one core busy, in pure Python.

    The amount of work is fixed and not the time, so that calls take longer where cores are shared.
    """
    number = 1
    for _ in range(times):
        number = (number * 1_103_515_245 + 12_345) & 0x7FFFFFFF
    return number


@compute_this()
def sleep(seconds: float) -> None:
    """Wait, as a call that talks to a database or another machine does."""
    time.sleep(seconds)


@compute_this()
def noop() -> None:
    """Do nothing, so that only the cost of the library is left."""


@compute_this()
def echo(payload: bytes) -> bytes:
    """Return the payload."""
    return payload


@compute_this()
def spins_per_second() -> float:
    """Return how fast `spin` is on a worker, in loops for each second of CPU time."""
    done, began = 0, time.process_time()
    while (taken := time.process_time() - began) < CALIBRATION:
        spin.local(CALIBRATION_SPINS)
        done += CALIBRATION_SPINS
    return done / taken


def spins_for(seconds: float, backend: Choice) -> int:
    """Let an idle worker find out how often `spin` must loop to take this long.

    Args:
        seconds: CPU time of one call, in seconds.
        backend: Backend of the worker.
    """
    return max(1, round(spins_per_second().compute(backend=backend) * seconds))


@dataclass(frozen=True)
class Workload:
    """The call that an `Experiment` makes over and over.

    Attributes:
        call: Returns the next call.
        seconds: About how long the call takes on a worker by itself.
        size: Bytes that the call carries.

    Examples:
        >>> Workload(noop, seconds=1.0).in_flight(20)
        60
        >>> Workload(noop, seconds=0.01).in_flight(2)
        102
    """

    call: Callable[[], Distributable[Any]]
    seconds: float
    size: int = 0

    def in_flight(self, workers: int) -> int:
        """Return how many calls keep this many workers busy: so many that no worker waits."""
        each = max(FEWEST_CALLS, 1 + math.ceil(QUEUED / max(self.seconds, SHORTEST)))
        least = FEWEST_CALLS * workers
        return max(least, min(each * workers, MOST_CALLS, MOST_BYTES // max(self.size, 1)))


def workload_of(plan: Plan, spins: int | None) -> Workload:
    """Return the workload that a plan names.

    Args:
        plan: Plan of the run.
        spins: For ``cpu``: loops of one call, by `spins_for`.
    """
    if plan.workload == "cpu":
        assert spins is not None, "the experiment measures it first"
        return Workload(lambda: spin(spins), plan.task_seconds)
    if plan.workload == "sleep":
        return Workload(lambda: sleep(plan.task_seconds), plan.task_seconds)
    if plan.workload == "payload":
        payload = bytes(plan.payload_bytes)
        return Workload(lambda: echo(payload), 0.0, plan.payload_bytes)
    return Workload(noop, 0.0)
