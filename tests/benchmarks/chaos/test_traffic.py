"""Load on threads of this process, by each way to make a call."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.chaos import traffic as module
from benchmarks.chaos.tally import Tally
from benchmarks.chaos.traffic import FOR_EACH_WORKER, MAPPED, Traffic
from benchmarks.rig.diary import Diary
from distribute_challenge.core.futures import Future
from distribute_challenge.core.messages import Task
from distribute_challenge.errors import BrokerUnreachableError
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.execution_backends.pools.threads import ThreadsExecutionBackend
from tests.processes import PATIENCE, wait_until


@pytest.fixture(autouse=True)
def no_call_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that would die is this one."""
    monkeypatch.setattr(module, "DEADLY", 0.0)


@pytest.mark.slow
def test_traffic_makes_calls_in_six_ways_and_checks_them_until_it_is_stopped(
    tmp_path: Path,
) -> None:
    tally, diary = Tally(), Diary(tmp_path)
    with ThreadsExecutionBackend() as backend:
        traffic = Traffic(backend, tally, diary=diary.folder, seed=1, workers=2)
        traffic.start()
        wait_until(lambda: tally.values > 200 and tally.errors["MistakeError"] > 3, "enough calls")
        assert len(tally.open) <= 2 * 2 * FOR_EACH_WORKER + 3 * MAPPED + 1
        traffic.stop()
        traffic.wait(PATIENCE)
    assert tally.open == {}
    assert tally.calls == tally.values + tally.errors["MistakeError"]
    assert (tally.lost, tally.wrong) == (0, 0), tally.examples
    entries = list(diary.read())
    assert len(entries) == len({entry.call for entry in entries}) == tally.calls


def test_traffic_includes_calls_that_exit_or_kill_their_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "DEADLY", 1.0)
    tally = Tally()
    traffic = Traffic(Deaf(), tally, diary=tmp_path, seed=1, workers=1)
    traffic.start()
    wait_until(
        lambda: {each.ending for each in tally._open.copy().values()} >= {"exit", "kill"},
        "both deaths",
    )
    traffic.stop()
    traffic.wait(0.0)  # What hangs is not waited for any longer.
    assert tally.open


class Deaf(ExecutionBackend):
    """Takes calls and does nothing about them."""

    concurrency = 1
    honours = frozenset({"queue_timeout"})

    def submit(self, task: Task) -> Future[Any]:
        return Future(task.function.name)


class Unreachable(ExecutionBackend):
    concurrency = 1
    honours = frozenset({"queue_timeout"})

    def submit(self, task: Task) -> Future[Any]:
        raise BrokerUnreachableError("no server")


def test_calls_that_cannot_be_sent_are_counted_as_lost_and_traffic_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.001)
    tally = Tally()
    traffic = Traffic(Unreachable(), tally, diary=tmp_path, seed=1, workers=1)
    traffic.start()
    wait_until(lambda: tally.errors["BrokerUnreachableError"] > 3 * MAPPED, "enough calls")
    traffic.stop()
    traffic.wait(PATIENCE)
    assert tally.open == {}
    assert tally.lost == tally.calls
