"""What is kept of a run."""

from pathlib import Path

import pytest

from benchmarks.self.results import Results
from tests.benchmarks.self.recorded import MEMORY, RATE, SECONDS, results


def test_a_saved_run_is_loaded_unchanged(tmp_path: Path) -> None:
    run = results({SECONDS: [1.0, 1.5], RATE: [3.0]}, errors={"mix": "hung"})
    run.save(tmp_path / "folder" / "run.json")
    assert Results.load(tmp_path / "folder" / "run.json") == run


def test_values_of_all_rounds_are_kept() -> None:
    run = results({})
    run.add([SECONDS, MEMORY], {"start": 1.0, "memory": 2.0})
    run.add([SECONDS], {"start": 3.0})
    assert run.series["start"].values == (1.0, 3.0)
    assert (run.series["start"].median, run.series["start"].spread) == (2.0, 2.0)
    assert run.series["memory"].values == (2.0,)


def test_results_record_revision_versions_machine_and_options() -> None:
    run = Results.of_this_machine(workers=2, rounds=1)
    assert run.revision
    assert run.versions["celery"].startswith("5.")
    assert run.machine["cores"] >= 1
    assert run.options == {"workers": 2, "rounds": 1}


def test_without_git_the_revision_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("benchmarks.self.results.describe_machine", dict)
    monkeypatch.setattr("benchmarks.self.results.PACKAGES", ("no-such-package",))
    run = Results.of_this_machine()
    assert (run.revision, run.versions) == ("unknown", {"no-such-package": "not installed"})
