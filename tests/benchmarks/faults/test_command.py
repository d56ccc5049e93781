"""``python -m benchmarks.faults``, without doing harm."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks.faults import __main__ as command
from benchmarks.faults.catalogue import FAULTS
from benchmarks.faults.systems import SYSTEMS
from tests.benchmarks.faults.recorded import recorded


def invoke(*arguments: str) -> tuple[int, str]:
    found = CliRunner().invoke(command.main, arguments)
    return found.exit_code, found.output


def test_systems_and_faults_can_be_listed() -> None:
    code, output = invoke("--list")
    assert code == 0
    assert output.splitlines()[0] == f"systems: {', '.join(SYSTEMS)}"
    assert [line.partition(":")[0] for line in output.splitlines()[1:]] == list(FAULTS)


@pytest.mark.parametrize(
    ("option", "said"),
    [("--only", "no system is called spark"), ("--faults", "no fault is called spark")],
)
def test_an_unknown_name_is_a_wrong_option(option: str, said: str) -> None:
    code, output = invoke(option, "spark")
    assert code == 2
    assert said in output


def test_the_table_of_a_run_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    path.write_text(json.dumps(recorded()))
    code, output = invoke("--table", str(path))
    assert code == 0
    assert "98 of 100" in output


def test_the_command_runs_the_chosen_systems_and_faults_and_writes_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: dict[str, Any] = {}

    def run(systems: Any, faults: Any, **options: Any) -> Any:
        chosen.update(options, names=[[each.name for each in named] for named in (systems, faults)])
        return recorded()["rows"]

    monkeypatch.setattr(command, "run", run)
    monkeypatch.setattr(command, "server_program", lambda: "redis-server")
    monkeypatch.setattr(command, "describe_machine", lambda: recorded()["machine"])
    options = (
        "--only",
        "ray, celery",
        "--faults",
        "call-kills",
        "--minutes",
        "2",
        "--output",
        str(tmp_path / "new"),
    )
    code, output = invoke(*options)
    assert code == 0
    assert chosen["names"] == [["celery", "ray"], ["call-kills"]]
    assert chosen["seconds"] == 120
    assert "98 of 100" in output
    assert json.loads((tmp_path / "new/faults.json").read_text())["rows"] == recorded()["rows"]
    assert "98 of 100" in (tmp_path / "new/faults.md").read_text()
