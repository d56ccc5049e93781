"""Queues of this library and their consumers, beside what others have."""

import pytest
from click.testing import CliRunner

from benchmarks import queues


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "SETTLES", 0.1)
    monkeypatch.setattr(queues, "MEASURED", 0.1)


@pytest.mark.celery
@pytest.mark.slow
@pytest.mark.parametrize(
    ("measurement", "system"),
    [
        (name, system)
        for name, measurement in queues.MEASUREMENTS.items()
        for system in measurement.systems
        if system != "distributed.Queue"  # It takes long to start.
    ],
)
def test_each_measurement_gives_seconds(measurement: str, system: str) -> None:
    measure = queues.MEASUREMENTS[measurement].measure
    assert measure(system, 1, 0.005) >= 0


@pytest.mark.slow
@pytest.mark.celery
def test_the_command_shows_a_table() -> None:
    options = ["--only", "batches", "--rounds", "1", "--scale", "0.005"]
    run = CliRunner().invoke(queues.main, options)
    assert run.exit_code == 0, run.output
    assert run.stdout.count(" s (") == 2
