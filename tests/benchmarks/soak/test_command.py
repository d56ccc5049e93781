"""The command, with few calls."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.soak import __main__ as command
from benchmarks.soak import run
from distribute_challenge.benchmarking.clusters.local import LocalWorkers
from distribute_challenge.errors import ClusterStartError
from tests.docker_engine import CHECKOUT
from tests.processes import program

pytestmark = [pytest.mark.celery, pytest.mark.slow]


def test_the_soak_makes_calls_by_submit_and_map_and_leaves_no_unknown_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "SLICE", 1_000)
    output = tmp_path / "soak.json"
    arguments = [
        "--calls",
        "40_001",
        "--workers",
        "2",
        "--every",
        "0.01",
        "--output",
        str(output),
        "--bound",
        "50",
    ]
    result = CliRunner().invoke(command.main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = json.loads(output.read_text())
    assert found["samples"][-1]["calls"] == 40_001
    assert {"client", "redis", "main process", "worker-1", "worker-2"} <= set(
        found["samples"][-1]["memory"]
    )
    assert found["unknown"] == []
    assert "\n40,001 calls, " in result.output
    assert f"\npassed\nwrote {output}\n" in result.output


def test_too_few_calls_are_a_failure(tmp_path: Path) -> None:
    """The command cannot tell whether anything grows."""
    output = tmp_path / "soak.json"
    result = CliRunner().invoke(
        command.main, ["--calls", "10", "--workers", "1", "--output", str(output)]
    )
    assert result.exit_code == 1
    assert output.exists()


def test_the_soak_command_runs_as_a_program(tmp_path: Path) -> None:
    command_line = [sys.executable, "-m", "benchmarks.soak", "--help"]
    with program(command_line, tmp_path, PYTHONPATH=str(CHECKOUT)) as running:
        assert running.wait() == 0, running.output
    assert running.output.startswith("Usage: python -m benchmarks.soak [OPTIONS]\n")
    assert "How many; half of them by map" in running.output


class Hopeless(LocalWorkers):
    def start(self) -> None:
        raise ClusterStartError("no room")


def test_a_cluster_that_does_not_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "LocalWorkers", Hopeless)
    result = CliRunner().invoke(command.main, ["--calls", "10"])
    assert result.exit_code == 1
    assert result.output == "Error: no room\n"
