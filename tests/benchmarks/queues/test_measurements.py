"""Queues of this library and their consumers, beside what others have."""

from typing import Any

import pytest

from benchmarks.queues import measurements
from benchmarks.queues.benchmark import QUEUES
from benchmarks.queues.measurements import IDLE
from benchmarks.sessions.entry import OURS
from tests.benchmarks.peers.recorded import record


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurements, "SETTLES", 0.1)
    monkeypatch.setattr(measurements, "MEASURED", 0.1)


@pytest.mark.celery
@pytest.mark.slow
@pytest.mark.parametrize(
    ("measurement", "system"),
    [
        (name, system)
        for name, measurement in QUEUES.measurements.items()
        for system in measurement.systems
        if system != "distributed.Queue"  # It takes long to start.
    ],
)
def test_each_measurement_gives_a_figure(measurement: str, system: str) -> None:
    assert QUEUES.measurements[measurement].take(system, 1, 0.005) >= 0


def waiting(ours: float, idle: float) -> tuple[str, str]:
    run: dict[str, Any] = {
        "options": {"small": False},
        "peers": {OURS: record("ours", {"waiting": ours}), IDLE: record(IDLE, {"waiting": idle})},
    }
    (judged,) = (
        each for each in QUEUES.benchmark.judged(run) if "waiting consumers" in each.target.what
    )
    return judged.reached, judged.verdict


def test_waiting_consumers_are_compared_with_the_same_cluster_without_them() -> None:
    assert waiting(0.052, 0.012) == ("4 % of a core", "no")
    assert waiting(0.015, 0.012) == ("0.3 % of a core", "yes")
    assert waiting(0.010, 0.012) == ("0 % of a core", "yes")


def test_without_one_of_both_it_is_not_measured() -> None:
    run: dict[str, Any] = {"options": {}, "peers": {}}
    assert {each.verdict for each in QUEUES.benchmark.judged(run)} == {"not measured"}
