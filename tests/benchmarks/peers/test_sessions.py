"""Sessions in processes of their own, with peers that work and peers that do not."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.peers.fakes import HANGS_AFTER, PEERS, RUN, SECONDS

TOP = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def found() -> Any:
    """What the runner found. It runs in its own process, inherits orphans and kills leftovers."""
    done = subprocess.run(
        [sys.executable, *RUN], cwd=TOP, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_a_working_peer_has_all_figures_in_every_round(found: Any) -> None:
    record = found["records"]["working"]
    assert len(record["rounds"]) == 2
    for figures in record["rounds"]:
        assert figures.keys() >= {
            "start",
            "import",
            "round_trip_p50",
            "round_trip_p99",
            "submit_and_gather",
            "map",
        }
        assert figures["other_ways"]["backwards"] > 0
        assert figures["round_trip_calls"] >= 200
    assert record["facts"]["title"] == "Working"


def test_a_measurement_that_a_peer_does_not_support_is_absent_and_not_an_error(found: Any) -> None:
    assert found["records"]["working"]["absent"] == {"shared_payload": "cannot send it"}


def test_a_failure_of_one_measurement_is_told_by_its_first_line_and_costs_no_other(
    found: Any,
) -> None:
    record = found["records"]["working"]
    assert record["errors"] == {"payload": "ValueError: too large"}
    assert any("for this one" in line for line in record["logs"]["payload"]["session"])


def test_a_wrong_result_is_an_error(found: Any) -> None:
    record = found["records"]["wrong"]
    assert record["errors"] == {"start": "AssertionError: the first call returned 8, expected 7"}
    assert record["facts"]["title"] == "Wrong"


def test_a_session_that_dies_is_told_with_its_last_words(found: Any) -> None:
    record = found["records"]["dying"]
    assert record["errors"] == {"start": "the process died with exit code 7"}
    assert record["logs"]["start"]["session"] == ["I am about to die"]


def test_a_session_that_hangs_costs_its_deadline_once(found: Any) -> None:
    record = found["records"]["hanging"]
    assert record["errors"]["submit_and_gather"] == f"no answer within {HANGS_AFTER + SECONDS:g} s"
    # It was asked for no more after that, and in the next round not for this.
    assert "map" not in record["rounds"][0]
    assert "map" in record["rounds"][1]


def test_a_peer_that_cannot_be_installed_has_a_start_error_and_no_rounds(found: Any) -> None:
    record = found["records"]["uninstallable"]
    assert record["errors"]["start"].startswith("cannot be installed: ERROR: ")
    assert record["rounds"] == []


def test_a_peer_without_a_first_result_is_asked_once(found: Any) -> None:
    assert [len(found["records"][name]["rounds"]) for name in ("wrong", "dying")] == [1, 1]


def test_rounds_are_interleaved(found: Any) -> None:
    lines = [line.partition(":")[0] for line in found["said"] if line.startswith("round")]
    assert lines[: len(PEERS)] == [f"round 1, {name}" for name in PEERS]
    assert lines[len(PEERS) :] == ["round 2, working", "round 2, hanging"]


def test_no_process_is_left(found: Any) -> None:
    assert found["left"] == []
