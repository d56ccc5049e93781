"""``python -m benchmarks.self``, without measuring much."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.self import __main__ as command
from benchmarks.self.results import Results
from tests.benchmarks.self.recorded import SECONDS, results


def invoke(*arguments: str) -> tuple[int, str]:
    found = CliRunner().invoke(command.main, arguments)
    return found.exit_code, found.output


@pytest.mark.slow
def test_a_real_measurement_ends_in_a_file_and_a_table(tmp_path: Path) -> None:
    code, output = invoke(
        "--only", "import", "--rounds", "1", "--output", str(tmp_path / "run.json")
    )
    assert code == 0
    assert "| `from distribute_challenge import compute_this` | 0." in output
    assert 0 < Results.load(tmp_path / "run.json").series["import"].median < 10


def test_a_failure_is_an_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        command, "run", lambda *_, **__: results({SECONDS: [1.0]}, errors={"mix": "hung"})
    )
    code, output = invoke("--output", str(tmp_path / "run.json"))
    assert code == 1
    assert "mix FAILED: hung" in output


@pytest.mark.parametrize(("after", "code"), [(1.5, 1), (1.05, 0)])
def test_a_comparison_ends_with_whether_something_got_worse(
    tmp_path: Path, after: float, code: int
) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    results({SECONDS: [1.0]}).save(old)
    results({SECONDS: [after]}).save(new)
    ended, output = invoke("--compare", str(old), str(new))
    assert ended == code
    assert ("**worse**" in output) is bool(code)


def test_the_measurements_can_be_listed() -> None:
    assert invoke("--list")[1].splitlines()[:2] == ["import", "start"]


def test_an_unknown_measurement_is_a_wrong_option() -> None:
    code, output = invoke("--only", "speed")
    assert code == 2
    assert "no measurement is called speed" in output
