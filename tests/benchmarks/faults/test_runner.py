"""Rows in processes of their own, of a system that is nothing but files."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.faults.fakes import RUN

TOP = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def made() -> Any:
    """What the runner made, in a process of its own: it inherits the orphans."""
    done = subprocess.run(
        [sys.executable, *RUN], cwd=TOP, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def row(made: Any, fault: str, system: str = "files") -> Any:
    return next(each for each in made["rows"] if (each["fault"], each["system"]) == (fault, system))


@pytest.mark.slow
def test_a_call_that_kills_its_process_costs_a_worker_if_nothing_restarts_workers(
    made: Any,
) -> None:
    found = row(made, "call-kills")["found"]
    assert (found["calls"], found["values"], found["hung"], found["lost"]) == (100, 99, 1, 0)
    assert found["remarks"] in (["worker0 is gone"], ["worker1 is gone"])
    assert found["seconds"] > 0


def test_the_call_of_a_killed_worker_may_hang_and_its_death_gets_no_remark(made: Any) -> None:
    found = row(made, "worker-killed")["found"]
    assert found["values"] + found["hung"] == 40
    assert found["hung"] <= 1
    assert found["remarks"] == []


def test_a_frozen_worker_goes_on_when_it_is_woken(made: Any) -> None:
    found = row(made, "worker-frozen")["found"]
    assert (found["values"], found["hung"], found["repeated"]) == (20, 0, 0)


def test_the_central_program_of_a_system_is_started_again(made: Any) -> None:
    found = row(made, "middle-restarted")["found"]
    assert (found["values"], found["remarks"]) == (20, [])


def test_another_client_gets_the_results_of_one_that_was_killed(made: Any) -> None:
    assert row(made, "client-killed")["found"]["values"] == 10


def test_an_unsupported_operation_is_absent_and_not_a_failure(made: Any) -> None:
    assert row(made, "call-cancelled")["absent"] == "cannot cancel a call"


def test_a_fault_that_cannot_befall_a_system_makes_no_row(made: Any) -> None:
    assert "redis-emptied" not in {each["fault"] for each in made["rows"]}


def test_a_system_that_does_not_start_is_a_failure_with_its_last_log_lines(made: Any) -> None:
    dead = row(made, "call-kills", "dead")
    assert dead["failed"] == "did not start: the program in the middle died with exit code 3"
    assert dead["logs"]["middle"] == ["no room"]


def test_a_system_that_cannot_be_installed_is_a_failure(made: Any) -> None:
    assert row(made, "call-kills", "uninstallable")["failed"].startswith(
        "cannot be installed: ERROR: "
    )


def test_rows_end_when_the_time_is_up(made: Any) -> None:
    slow = row(made, "call-kills", "slow")
    assert slow["failed"] == "not finished: the time was up"
    assert slow["took"] < 60
    late = [each for each in made["rows"] if each["system"] == "files"][-1]
    assert late["failed"] == "not begun: the time was up"


def test_an_interrupted_run_ends_the_rows_that_are_being_made(made: Any) -> None:
    assert 1 <= made["interrupted"] < 60


def test_a_crash_of_the_process_of_a_row_is_shown_as_its_failure(made: Any) -> None:
    assert (
        row(made, "call-kills", "unknown")["failed"]
        == "the row's process ended with exit code 1: KeyError: 'unknown'"
    )


def test_the_output_reports_each_row(made: Any) -> None:
    assert any(line.startswith("worker-killed, files: ") for line in made["said"])
    assert any("not finished" in line for line in made["said"])


def test_no_process_and_no_file_is_left(made: Any) -> None:
    assert made["left"] == []
