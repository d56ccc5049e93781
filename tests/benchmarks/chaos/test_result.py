"""What is said of a run of chaos."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.chaos.result import Result
from benchmarks.chaos.tally import Tally

GOOD = Result(
    seed=7, workers=4, began=1e9, seconds=61.0, tally=Tally(), hung=[], problems=[], memory=[]
)


def eventful() -> Tally:
    return Tally(
        calls=1200,
        values=1100,
        errors=Counter({"MistakeError": 99, "WorkerLostError": 1}),
        faults=Counter({"redis killed": 2, "worker killed": 1}),
        run_twice=Counter({"worker killed": 3, "no fault": 1}),
        recovery={"redis killed": 0.25, "worker killed": 1.0},
        made_good={"worker killed": 7.5},
    )


def test_a_passed_run_is_shown_as_two_tables() -> None:
    text = replace(GOOD, tally=eventful(), memory=[50.0, 51.0]).text()
    rows = [line.split() for line in text.splitlines()]
    assert ["calls", "1,200"] in rows
    assert ["WorkerLostError", "1"] in rows
    assert ["run", "twice", "4"] in rows
    assert ["redis", "killed", "2", "0", "0.2", "-"] in rows
    assert ["worker", "killed", "1", "3", "1.0", "7.5"] in rows
    assert ["no", "fault", "0", "1", "-", "-"] in rows
    assert "memory of this process: 50 MB after a minute, 51 at the end" in text
    assert text.endswith("\n\npassed")


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (replace(GOOD, tally=Tally(lost=1, examples=["c-1 failed"])), "c-1 failed"),
        (replace(GOOD, tally=Tally(wrong=1, examples=["c-1 gave 5"])), "c-1 gave 5"),
        (replace(GOOD, hung=["c-3"]), "c-3 hangs"),
        (
            replace(GOOD, problems=["worker w1 had ended by itself"]),
            "worker w1 had ended by itself",
        ),
    ],
    ids=["lost", "wrong", "hung", "problem"],
)
def test_a_bad_run_says_what_went_wrong(result: Result, words: str) -> None:
    assert not result.passed
    assert f"what went wrong:\n  {words}\n\nFAILED" in result.text()


def test_the_saved_file_has_outcome_errors_recovery_seed_and_hung_calls(tmp_path: Path) -> None:
    path = tmp_path / "chaos.json"
    replace(GOOD, tally=eventful(), hung=["c-1"]).save(path)
    found = json.loads(path.read_text())
    assert found["passed"] is False
    assert found["errors"] == {"MistakeError": 99, "WorkerLostError": 1}
    assert found["recovery"] == {"redis killed": 0.25, "worker killed": 1.0}
    assert (found["seed"], found["hung"]) == (7, ["c-1"])
