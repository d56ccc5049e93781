"""Pieces of work on several systems that each piece starts by itself."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks.sessions import results
from benchmarks.sessions.entry import OURS
from benchmarks.sessions.side_by_side import SideBySide
from benchmarks.sessions.side_by_side_command import command
from tests.benchmarks.sessions.asking import TOP
from tests.benchmarks.sessions.side_by_side_fakes import FAKES, RUN


@pytest.fixture(scope="module")
def found() -> Any:
    """A run. It is made in its own process, which inherits orphans and kills leftovers."""
    done = subprocess.run(
        [sys.executable, *RUN], cwd=TOP, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout), "said": done.stderr.splitlines()}


def test_each_system_has_the_figures_of_its_measurements_in_every_round(found: Any) -> None:
    ours, ray = found["peers"][OURS]["rounds"], found["peers"]["Ray"]["rounds"]
    assert [(each["speed"], each["time"]) for each in ours] == [(15.0, 0.5)] * 2
    assert [each["speed"] for each in ray] == [6.0] * 2
    assert found["options"]["small"] is True
    assert found["peers"]["loky"]["facts"] == {"title": "loky", "crosses_machines": False}


def test_no_system_is_asked_for_what_is_not_measured_there(found: Any) -> None:
    assert [line.partition(":")[0] for line in found["said"]] == [
        f"round 1, {OURS}, speed",
        "round 1, Ray, speed",
        f"round 1, {OURS}, time",
        "round 1, loky, time",
        f"round 2, {OURS}, speed",
        "round 2, Ray, speed",
        f"round 2, {OURS}, time",
    ]


def test_the_table_has_medians_ratios_and_what_failed(found: Any) -> None:
    lines = FAKES.as_markdown(found).splitlines()
    assert f"| how fast, calls/s | {OURS} | 15 | - |" in lines
    assert "| how fast, calls/s | Ray | 6 | ×2.5 |" in lines
    assert f"| how long, ms | {OURS} | 500 | - |" in lines
    assert "| how long, ms | loky | failed | - |" in lines
    assert "Sizes are those of the table, times 0.5." in lines
    assert lines[-1] == "- loky, time FAILED: ValueError: no time"


def test_a_whole_run_needs_no_remarks(found: Any) -> None:
    whole = {**found, "options": {**found["options"], "scale": 1.0}}
    whole["peers"] = {name: {**each, "errors": {}} for name, each in found["peers"].items()}
    assert FAKES.as_markdown(whole).splitlines()[-1].startswith("| ")


def test_the_command_writes_what_it_measures(
    found: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def measure(self: object, measurements: list[Any], **how: Any) -> Any:
        asked.extend([[each.figure.key for each in measurements], how["scale"]])
        return found

    monkeypatch.setattr(SideBySide, "measure", measure)
    folder = tmp_path / "new"
    arguments = ["--only", "speed", "--scale", "0.5", "--output", str(folder)]
    run = CliRunner().invoke(command(FAKES, "Measure."), arguments)
    assert run.exit_code == 1  # As something failed.
    assert asked == [["speed"], 0.5]
    assert results.load(folder / "fakes.json") == found
    assert (folder / "fakes.md").read_text() == FAKES.as_markdown(found)
    assert "| how fast, calls/s | Ray |" in run.stdout


def test_the_command_shows_targets_and_names(found: Any, tmp_path: Path) -> None:
    whole = {**found, "options": {**found["options"], "small": False}}
    results.save(whole, tmp_path / "run.json")
    run = CliRunner().invoke(command(FAKES, "Measure."), ["--targets", str(tmp_path / "run.json")])
    assert run.stdout.splitlines()[2:] == [
        "| how fast | at least 2 × Ray | ×2.5 Ray | yes | Ray 6 calls/s |",
        "| how long | less than loky | - | not measured | - |",
    ]
    run = CliRunner().invoke(command(FAKES, "Measure."), ["--list"])
    assert run.stdout.split() == ["speed", "time"]


def test_an_unknown_measurement_is_a_wrong_option() -> None:
    run = CliRunner().invoke(command(FAKES, "Measure."), ["--only", "depth"])
    assert run.exit_code == 2
    assert "no measurement is called depth" in run.output
