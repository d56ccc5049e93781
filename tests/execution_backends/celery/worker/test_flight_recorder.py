"""The last lines of a process, read after its death."""

import logging
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from distribute_challenge.execution.output import OutputLog
from distribute_challenge.execution_backends.celery.worker import flight_recorder
from distribute_challenge.execution_backends.celery.worker.flight_recorder import (
    LINE_SIZE,
    LINES,
    Records,
    record_this_process,
)
from distribute_challenge.owned_folder import OwnerLock
from tests.processes import environment

pytestmark = pytest.mark.slow

CHILD = """
import ctypes, logging, os, resource, signal
from distribute_challenge.execution_backends.celery.worker.flight_recorder import record_this_process
from distribute_challenge.execution.output import OutputLog
logging.getLogger().setLevel(logging.INFO)
{before}
record_this_process(OutputLog(logging.INFO))
{body}
"""


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path)


def run(records: Records, body: str, *, before: str = "") -> tuple[int, int]:
    """A child that records itself; its number and how it ended."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD.format(before=before, body=body)],
        env=environment(**{flight_recorder.FOLDER_VARIABLE: str(records.folder)}),
        stderr=subprocess.DEVNULL,
    )
    return process.pid, process.wait(60)


def test_the_last_lines_of_a_killed_process_can_be_read(records: Records) -> None:
    body = "for number in range(50): logging.info('line %d', number)\nos.kill(os.getpid(), signal.SIGKILL)"
    pid, status = run(records, body)
    assert status == -signal.SIGKILL
    lines = records.lines(pid)
    assert [line.rpartition(" ")[2] for line in lines] == [
        str(number) for number in range(50 - LINES, 50)
    ]
    assert records.crash(pid) == ""


def test_long_lines_are_cut_and_each_line_of_a_message_counts(records: Records) -> None:
    pid, _ = run(records, "logging.info('x' * 5000)\nlogging.info('one\\ntwo\\udcff')")
    first, second, third = records.lines(pid)
    assert len(first) == LINE_SIZE
    assert second.endswith("one")
    assert third == "two?"


def test_a_crash_in_c_leaves_its_traceback_down_to_the_call(records: Records) -> None:
    pid, status = run(records, "def reckless(): ctypes.string_at(0)\nreckless()")
    assert status == -signal.SIGSEGV
    crash = records.crash(pid)
    assert crash.startswith("Fatal Python error: Segmentation fault\nCurrent thread")
    assert "in reckless" in crash


def test_a_process_without_a_record_has_no_lines(records: Records) -> None:
    assert records.lines(1) == []
    assert records.crash(1) == ""


def test_a_log_line_with_wrong_arguments_does_not_end_the_process(records: Records) -> None:
    pid, status = run(records, "logging.info('%d', 'text')\nlogging.info('next')")
    assert status == 0
    assert [line.rpartition(" ")[2] for line in records.lines(pid)] == ["next"]


def test_a_disk_with_room_for_half_of_a_record_keeps_none_and_ends_nothing(
    records: Records,
) -> None:
    # One page may be written: the rest is refused then, and not at once.
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, ({}, resource.RLIM_INFINITY))".format
    body = f"logging.info('hello')\n{limit('resource.RLIM_INFINITY')}"
    pid, status = run(records, body, before=limit(4096))
    assert status == 0
    assert records.lines(pid) == []
    assert not (records.folder / f"{pid}.log").exists()


def test_records_can_be_forgotten(records: Records) -> None:
    pid, _ = run(records, "logging.info('a line')")
    records.forget([pid, 1])
    assert list(records.folder.iterdir()) == []


def test_a_process_records_itself_only_if_its_worker_has_set_a_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It records nothing if the worker is just ending."""
    before = list(logging.getLogger().handlers)
    monkeypatch.delenv(flight_recorder.FOLDER_VARIABLE, raising=False)
    record_this_process(OutputLog(logging.INFO))
    monkeypatch.setenv(flight_recorder.FOLDER_VARIABLE, str(tmp_path / "gone"))
    record_this_process(OutputLog(logging.INFO))
    assert logging.getLogger().handlers == before


def test_a_private_folder_is_removed_with_its_worker_or_by_the_next_worker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The next worker removes the folder of a killed one."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    records = Records()
    assert records.folder.parent == tmp_path
    assert records.folder.stat().st_mode & 0o777 == 0o700
    left = Records()
    assert left._lock is not None
    left._lock.release()
    assert OwnerLock.is_held(records.folder)
    last = Records()
    assert not left.folder.exists()
    assert os.environ[flight_recorder.FOLDER_VARIABLE] == str(last.folder)
    for each in records, last, last:
        each.close()
    assert list(tmp_path.iterdir()) == []


def test_a_given_folder_stays(records: Records) -> None:
    records.close()
    assert records.folder.exists()
    assert flight_recorder.FOLDER_VARIABLE not in os.environ
