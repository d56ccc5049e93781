"""``python -m benchmarks.peers``, without measuring."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.peers.__main__ import main
from benchmarks.peers.catalogue import CATALOGUE
from benchmarks.sessions import results
from tests.benchmarks.peers.recorded import recorded


def invoke(*arguments: str) -> tuple[int, str]:
    found = CliRunner().invoke(main, arguments)
    return found.exit_code, found.output


def test_the_peers_can_be_listed() -> None:
    code, output = invoke("--list")
    assert code == 0
    assert [line.split()[0] for line in output.splitlines()] == list(CATALOGUE)


def test_an_unknown_peer_is_a_wrong_option() -> None:
    code, output = invoke("--only", "spark")
    assert code == 2
    assert "no peer is called spark" in output


def test_the_targets_of_a_run_are_printed(tmp_path: Path) -> None:
    results.save(recorded(), tmp_path / "run.json")
    code, output = invoke("--targets", str(tmp_path / "run.json"))
    assert code == 0
    assert output.startswith("| what | to reach | reached |  | best peer |")


@pytest.mark.slow
def test_table_and_chart_of_a_run_are_made_again(tmp_path: Path) -> None:
    results.save(recorded(), tmp_path / "run.json")
    assert invoke("--plot", str(tmp_path / "run.json"))[0] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "run.json",
        "run.md",
        "run.png",
        "run.svg",
    ]
