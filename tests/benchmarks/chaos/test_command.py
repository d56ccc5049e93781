"""The command, with a short storm."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks.chaos import __main__ as command
from benchmarks.chaos.kinds import KINDS
from benchmarks.chaos.result import Result
from benchmarks.chaos.tally import Tally
from distribute_challenge.errors import ClusterStartError
from tests.docker_engine import CHECKOUT
from tests.processes import program

pytestmark = [pytest.mark.celery, pytest.mark.slow]


def test_a_storm_of_twenty_seconds_loses_nothing(tmp_path: Path) -> None:
    """With this seed the workers' line goes dead, and a whole worker is killed."""
    output = tmp_path / "chaos.json"
    arguments = [
        "--minutes",
        "0.33",
        "--seed",
        "9",
        "--workers",
        "2",
        "--output",
        str(output),
        "--logs",
        str(tmp_path / "logs"),
    ]
    result = CliRunner().invoke(command.main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = json.loads(output.read_text())
    assert (found["lost"], found["hung"], found["wrong"], found["problems"]) == (0, [], 0, [])
    assert found["values"] > 50
    assert sum(found["faults"].values()) >= 2
    assert result.output.startswith("seed 9, 2 workers, faults for 0.33 min\n")
    assert f"\npassed\nwrote {output}\n" in result.output
    assert (tmp_path / "logs" / "workers" / "w1.log").exists()


def test_the_chaos_command_runs_as_a_program(tmp_path: Path) -> None:
    command_line = [sys.executable, "-m", "benchmarks.chaos", "--help"]
    with program(command_line, tmp_path, PYTHONPATH=str(CHECKOUT)) as running:
        assert running.wait() == 0, running.output
    assert running.output.startswith("Usage: python -m benchmarks.chaos [OPTIONS]\n")
    assert "worker killed" in running.output


class Fake:
    """A storm that has been."""

    given: dict[str, Any]  # what the last one was made with

    def __init__(self, folder: Path, **given: Any) -> None:
        Fake.given = {"folder": folder, **given}

    def run(self) -> Result:
        if Fake.given["workers"] == 13:
            raise ClusterStartError("no room")
        seed, workers = Fake.given["seed"], Fake.given["workers"]
        return Result(seed, workers, 0.0, 1.0, Tally(lost=Fake.given["seed"]), [], [], [])


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(command, "Storm", Fake)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("fake")
def test_a_storm_with_losses_is_a_failure_and_its_seed_names_the_file(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        command.main, ["--seed", "5", "--fault", "redis killed", "--fault", "worker killed"]
    )
    assert result.exit_code == 1
    assert "FAILED\nwrote chaos-5.json" in result.output
    assert json.loads((tmp_path / "chaos-5.json").read_text())["lost"] == 5
    assert Fake.given["kinds"] == ("redis killed", "worker killed")


@pytest.mark.usefixtures("fake")
def test_a_seed_is_drawn_if_none_is_given() -> None:
    result = CliRunner().invoke(command.main, [])
    assert result.output.startswith(f"seed {Fake.given['seed']}, 4 workers, faults for 5 min")
    assert Fake.given["seconds"] == 300
    assert not Fake.given["folder"].exists()


@pytest.fixture
def without_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a machine that lets no program have mounts of its own."""
    kind = replace(KINDS["log disk full"], lacks=lambda: "mounts")
    monkeypatch.setitem(KINDS, "log disk full", kind)


@pytest.mark.usefixtures("fake", "without_disks")
def test_a_fault_that_this_machine_cannot_make_is_left_out_with_a_message() -> None:
    result = CliRunner().invoke(
        command.main, ["--seed", "0", "--fault", "log disk full", "--fault", "worker killed"]
    )
    assert result.exit_code == 0
    assert result.output.splitlines()[1] == "left out: 'log disk full' (this machine lacks mounts)"


@pytest.mark.usefixtures("fake", "without_disks")
def test_a_storm_with_no_fault_that_this_machine_can_make_is_an_error() -> None:
    result = CliRunner().invoke(command.main, ["--fault", "log disk full"])
    assert result.exit_code == 1
    assert result.output == "Error: 'log disk full' (this machine lacks mounts)\n"


@pytest.mark.usefixtures("fake")
def test_a_cluster_that_does_not_come_up_is_an_error() -> None:
    result = CliRunner().invoke(command.main, ["--workers", "13"])
    assert result.exit_code == 1
    assert result.output.splitlines()[-1] == "Error: no room"
