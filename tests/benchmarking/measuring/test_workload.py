"""What the calls do, and how many are in flight."""

import time

import pytest

from distribute_challenge.benchmarking.measuring.workload import (
    WORKLOADS,
    Workload,
    noop,
    spin,
    spins_for,
    workload_of,
)
from distribute_challenge.benchmarking.recording import Plan


def plan(workload: str) -> Plan:
    return Plan(
        cluster="local",
        workload=workload,
        task_seconds=0.02,
        payload_bytes=1000,
        min_workers=1,
        max_workers=2,
        step=1,
        runtime=1.0,
        warm_up=0.0,
    )


@pytest.mark.parametrize(
    ("workload", "value"),
    [("cpu", spin.local(3)), ("sleep", None), ("noop", None), ("payload", bytes(1000))],
)
def test_each_workload_makes_its_call(workload: str, value: object) -> None:
    assert workload_of(plan(workload), 3).call().compute(backend="local") == value


@pytest.mark.filterwarnings("ignore::distribute_challenge.errors.NeverRunWarning")
def test_every_workload_name_has_its_own_call() -> None:
    assert {workload_of(plan(name), 1).call().prepared.name for name in WORKLOADS} == {
        "spin",
        "sleep",
        "noop",
        "echo",
    }


def test_a_sleeping_call_lasts_as_long_as_planned() -> None:
    began = time.monotonic()
    workload_of(plan("sleep"), None).call().compute(backend="local")
    assert time.monotonic() - began >= 0.02


@pytest.mark.slow
def test_spinning_is_measured_in_cpu_time_on_a_worker() -> None:
    """More time, more loops; how many depends on what else this machine does."""
    assert spins_for(0.1, "local") < spins_for(0.5, "local")
    assert spins_for(1e-12, "local") == 1


@pytest.mark.parametrize(
    ("seconds", "size", "workers", "calls"),
    [
        (1.0, 0, 20, 60),  # One runs, one waits, one is on its way.
        (0.1, 0, 4, 24),  # Half a second of work waits for each worker.
        (0.0, 0, 1, 5002),
        (0.0, 0, 8, 10_000),  # Never more.
        (0.0, 2**20, 1, 64),  # 64 MB of payload.
        (0.0, 2**30, 4, 12),  # But enough to keep all busy.
    ],
)
def test_the_number_of_calls_in_flight_fits_duration_size_and_workers(
    seconds: float, size: int, workers: int, calls: int
) -> None:
    assert Workload(noop, seconds, size).in_flight(workers) == pytest.approx(calls, abs=1)
