"""``python -m benchmarks.graph``, without measuring."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.graph import __main__ as command
from benchmarks.graph.catalogue import CATALOGUE
from benchmarks.graph.measurements import MEASUREMENTS
from benchmarks.sessions import results
from benchmarks.sessions.benchmark import Amount
from tests.benchmarks.graph.recorded import recorded


def invoke(*arguments: str) -> tuple[int, str]:
    found = CliRunner().invoke(command.main, arguments)
    return found.exit_code, found.output


def test_systems_and_measurements_can_be_listed() -> None:
    code, output = invoke("--list")
    assert code == 0
    assert output.split() == [*CATALOGUE, *MEASUREMENTS]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--only", "spark"), "no system is called spark"),
        (("--measure", "forest"), "no measurement is called forest"),
    ],
)
def test_an_unknown_name_is_a_wrong_option(arguments: tuple[str, str], said: str) -> None:
    code, output = invoke(*arguments)
    assert code == 2
    assert said in output


def test_the_targets_of_a_run_are_printed(tmp_path: Path) -> None:
    results.save(recorded(), tmp_path / "run.json")
    code, output = invoke("--targets", str(tmp_path / "run.json"))
    assert code == 0
    assert output.startswith("| what | to reach | reached |  | best peer |")


@pytest.mark.parametrize("failed", [False, True])
def test_a_run_is_written_and_its_end_tells_whether_something_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failed: bool
) -> None:
    run = recorded()
    run["options"].update(quick=True, measurements=["tree", "nodes"])
    if not failed:
        del run["peers"]["dask"]
    asked: list[object] = []

    def measured(
        entries: list[object], measurements: list[object], amount: Amount, say: object
    ) -> object:
        asked.extend([len(entries), len(measurements), amount.quick])
        return run

    monkeypatch.setattr(command, "measured", measured)
    code, output = invoke("--quick", "--measure", "tree,nodes", "--output", str(tmp_path / "new"))
    assert code == failed
    assert asked == [len(CATALOGUE), 2, True]
    assert "tree: 2,048 leaves" in output
    assert results.load(tmp_path / "new" / "graph.json") == run
    assert "(`--quick`)" in (tmp_path / "new" / "graph.md").read_text()
