"""``python -m benchmarks``, without measuring."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks import __main__ as command
from benchmarks.catalogue import CATALOGUE
from benchmarks.sessions.benchmark import Amount, Benchmark, Say
from benchmarks.sessions.entry import OURS
from tests.benchmarks.graph.recorded import recorded as graph
from tests.benchmarks.peers.recorded import record
from tests.benchmarks.peers.recorded import recorded as peers
from tests.benchmarks.self.recorded import MACHINE


def queues() -> dict[str, Any]:
    return {
        "machine": {**MACHINE, "load_average_before": 2.5},
        "options": {"workers": 2, "rounds": 2, "small": True},
        "peers": {OURS: record("ours", {"consumed": 3.0})},
    }


@pytest.fixture
def stored(tmp_path: Path) -> str:
    path = tmp_path / "stored.json"
    path.write_text(json.dumps({"peers": peers(), "graph": graph(), "queues": queues()}))
    return str(path)


def invoke(*arguments: str) -> tuple[int, str]:
    found = CliRunner().invoke(command.main, arguments)
    return found.exit_code, found.output


def test_the_benchmarks_can_be_listed() -> None:
    assert invoke("--list") == (0, "peers\ngraph\nfaces\nmapreduce\nqueues\n")


@pytest.mark.parametrize("name", CATALOGUE)
def test_each_benchmark_has_a_command_of_its_own(name: str) -> None:
    run = CliRunner().invoke(import_module(f"benchmarks.{name}.__main__").main, ["--list"])
    assert run.exit_code == 0
    assert run.stdout


def test_one_table_has_the_targets_of_all_benchmarks(stored: str) -> None:
    code, output = invoke("--from", stored)
    assert code == 0
    rows = [line.split(" | ")[0] for line in output.splitlines() if line.startswith("| ")]
    counts = {name: rows.count(f"| {name}") for name in CATALOGUE}
    assert counts == {
        name: len(CATALOGUE[name].targets) if name in ("peers", "graph", "queues") else 0
        for name in CATALOGUE
    }
    assert (
        "| queues | a million empty items put, given to a function and acknowledged | 10 s | 3 s | "
        "little work | - |"
    ) in output
    assert "load of the machine before: 0.1 to 2.5." in output
    assert "Less work than the table says (queues)" in output
    assert "- graph: Dask distributed, fan_out FAILED: no answer within 600 s" in output


def test_a_row_that_is_missed_has_its_reason_beside_it(stored: str) -> None:
    run = graph()
    run["peers"]["dask"]["rounds"] = [{"array_chain": 0.1}]
    Path(stored).write_text(json.dumps({"graph": run}))
    _, output = invoke("--from", stored)
    assert "| **no**: a message has 8 MB of large results at most" in output


@pytest.mark.parametrize(("small", "reached", "rest"), [(False, 1, 3), (True, 0, 4)])
def test_the_targets_are_counted(tmp_path: Path, small: bool, reached: int, rest: int) -> None:
    """What was done with little work says nothing about a target."""
    run = queues()
    run["options"]["small"] = small
    path = tmp_path / "stored.json"
    path.write_text(json.dumps({"queues": run}))
    _, output = invoke("--from", str(path))
    assert output.splitlines()[-1] == (
        f"{reached} of 4 reached, 0 missed, {rest} not measured, or not as the table says."
    )


def test_nothing_of_a_benchmark_that_was_not_stored_is_a_wrong_option(stored: str) -> None:
    code, output = invoke("--from", stored, "--only", "faces")
    assert code == 2
    assert "has peers, graph, queues, and nothing of faces" in " ".join(output.split())


def test_an_unknown_benchmark_is_a_wrong_option() -> None:
    code, output = invoke("--only", "speed")
    assert code == 2
    assert "no benchmark is called speed" in output


@pytest.mark.parametrize("failed", [False, True])
def test_results_are_stored_and_the_exit_code_tells_whether_one_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failed: bool
) -> None:
    asked: list[Amount] = []

    def measure(amount: Amount, say: Say) -> dict[str, Any]:
        asked.append(amount)
        run = queues()
        run["peers"][OURS]["errors"] = {"waiting": "it hung"} if failed else {}
        return run

    queue = CATALOGUE["queues"]
    fake = Benchmark(queue.name, queue.title, measure, queue.targets, queue.charted)
    monkeypatch.setattr(command, "chosen", lambda names: [fake])
    path = tmp_path / "new" / "all.json"
    code, output = invoke("--quick", "--workers", "3", "--rounds", "1", "--json", str(path))
    assert code == failed
    assert asked == [Amount(3, 1, True)]
    assert json.loads(path.read_text()).keys() == {"queues"}
    assert ("FAILED: it hung" in output) is failed


@pytest.mark.slow
def test_charts_are_drawn_of_what_was_stored_and_compares_systems(
    stored: str, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    charts = tmp_path / "charts"
    assert invoke("--from", stored, "--charts", str(charts))[0] == 0
    assert sorted(path.name for path in charts.iterdir()) == [
        f"{name}.{ending}" for name in ("graph", "peers") for ending in ("png", "svg")
    ]
