"""What it costs to watch: the command runs, in a small size."""

import sys
from pathlib import Path

import pytest

from benchmarks.dashboard.cost import WORK, ratio
from tests.docker_engine import CHECKOUT
from tests.processes import program

pytestmark = [pytest.mark.celery, pytest.mark.slow]


def test_each_kind_of_work_is_measured(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.dashboard", "--calls", "2000", "--rounds", "1"]
    with program(command, tmp_path, PYTHONPATH=str(CHECKOUT)) as running:
        assert running.wait() == 0, running.output
    assert all(f"| {name} | " in running.output for name in WORK)
    assert "The watcher itself took " in running.output


def test_medians_are_compared() -> None:
    assert ratio([2.0, 9.0, 1.0], [3.0, 2.5, 0.5]) == 1.25
