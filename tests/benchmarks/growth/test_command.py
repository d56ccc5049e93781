"""``python -m benchmarks.growth``, without measuring much."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks.growth import __main__ as command
from benchmarks.growth import runner
from benchmarks.growth.standing import SETTINGS
from benchmarks.growth.sweeps import SWEEPS
from benchmarks.programs import SessionError
from tests.benchmarks.growth.recorded import SEARCH, figures, recorded


def invoke(*arguments: str) -> tuple[int, str]:
    pytest.importorskip("matplotlib")
    found = CliRunner().invoke(command.main, arguments)
    return found.exit_code, found.output


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What sessions are asked for; each gives the same figures, and one of them fails."""
    asked: list[tuple[str, dict[str, Any]]] = []

    def answer(module: str, arguments: list[str], deadline: float) -> Any:
        kind, said = arguments[0], json.loads(arguments[1])
        asked.append((kind, said))
        assert module == "benchmarks.growth.session"
        if kind == "search":
            return {**SEARCH[0], **said}
        assert deadline > said["seconds"]
        if kind == "standing":
            settings = [point["setting"] for point in recorded()["standing"]]
            return recorded()["standing"][settings.index(said["setting"])]["figures"]
        if said["setting"]["clients"] == 2:
            raise SessionError("it hung")
        return {"loaded": figures(), **({"alone": figures(100)} if said["by_one"] else {})}

    monkeypatch.setattr(runner, "printed_json", answer)
    return asked


@pytest.mark.slow
def test_a_run_ends_in_files_tables_and_charts(
    tmp_path: Path, asked: list[tuple[str, dict[str, Any]]]
) -> None:
    code, output = invoke("--quick", "--output", str(tmp_path))
    assert code == 1, output  # As one value failed.
    assert "| 2 |  |  |  |  |  |  |  | FAILED: it hung |" in output
    assert "What large clusters need of Redis" in output
    loads = [said for kind, said in asked if kind == "load"]
    assert len(loads) == sum(len(sweep.quick) for sweep in SWEEPS.values())
    assert {said["seconds"] for said in loads} == {1.0}
    assert [kind for kind, _ in asked].count("standing") == len(SETTINGS)
    assert [said for kind, said in asked if kind == "search"] == [
        {"messages": messages} for messages in runner.SEARCHED_QUICKLY
    ]
    run = json.loads((tmp_path / "growth.json").read_text())
    assert list(run["sweeps"]) == list(SWEEPS)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "growth-clients.svg",
        "growth-in-flight.svg",
        "growth-size.svg",
        "growth-workers.svg",
        "growth.json",
        "growth.md",
    ]


def test_only_some_are_measured(tmp_path: Path, asked: list[tuple[str, dict[str, Any]]]) -> None:
    arguments = ["--only", "in_flight, standing", "--workers", "3", "--seconds", "2"]
    code, _ = invoke(*arguments, "--output", str(tmp_path))
    assert code == 0
    loads = [said for kind, said in asked if kind == "load"]
    assert [said["setting"]["in_flight"] for said in loads] == list(SWEEPS["in_flight"].values)
    assert {said["setting"]["workers"] for said in loads} == {3}
    assert [said["setting"] for kind, said in asked if kind == "standing"] == [
        point["setting"] for point in recorded()["standing"]
    ]


def test_sizes_that_take_too_much_memory_are_left_out(
    tmp_path: Path,
    asked: list[tuple[str, dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Memory:
        available = 1_000_000_000

    monkeypatch.setattr(runner.psutil, "virtual_memory", Memory)
    code, output = invoke("--only", "size", "--output", str(tmp_path))
    assert code == 0
    assert "left out: it takes about 4.18 GB of memory, and 1.00 GB are free" in output
    sizes = [said["setting"]["size"] for _, said in asked]
    assert sizes == [size for size in SWEEPS["size"].values if size < 10**9]


@pytest.mark.slow
def test_charts_are_drawn_again_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(recorded()))
    code, _ = invoke("--plot", str(path), "--output", str(tmp_path / "images"))
    assert code == 0
    assert sorted(each.name for each in (tmp_path / "images").iterdir()) == [
        "growth-size.svg",
        "growth-workers.svg",
    ]


def test_an_unknown_sweep_is_a_wrong_option() -> None:
    code, output = invoke("--only", "speed")
    assert code == 2
    assert "no sweep is called speed" in output
