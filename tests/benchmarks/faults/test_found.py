"""What came of the calls, from executions and outcomes."""

from pathlib import Path

from benchmarks.faults.found import evaluate, outcomes


def test_an_incompletely_written_outcome_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text('{"number": 1, "value": 1}\n{"num')
    assert outcomes(path) == {1: {"number": 1, "value": 1}}
    assert outcomes(tmp_path / "none") == {}


def test_values_wrong_values_errors_hung_and_lost_calls_are_counted_apart() -> None:
    came = {
        0: {"value": 0, "time": 103.0},
        1: {"value": 7, "time": 104.0},
        2: {"error": "WorkerLostError", "text": "first", "time": 105.0},
        3: {"error": "WorkerLostError", "text": "second", "time": 106.0},
        -1: {"value": -1, "time": 99.0},
    }
    found = evaluate(range(6), came, [-1, -1, 0, 2, 2, 2, 4], 100.0)
    assert (found.calls, found.values, found.wrong, found.hung, found.lost) == (6, 1, 1, 1, 1)
    assert found.errors == {"WorkerLostError": 2}
    assert found.texts == {"WorkerLostError": "first"}
    assert (found.repeated, found.most) == (1, 3)
    assert found.seconds == 3.0


def test_values_from_before_the_fault_have_no_seconds() -> None:
    found = evaluate([0], {0: {"value": 0, "time": 99.0}}, [0], 100.0)
    assert (found.values, found.seconds) == (1, None)
    assert evaluate([], {}, [], 0.0).most == 0
