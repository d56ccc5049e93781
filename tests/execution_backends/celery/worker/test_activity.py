"""What a worker's main process records while a dashboard watches."""

import os
from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker import state

from distribute_challenge.core import clock
from distribute_challenge.execution_backends.celery.worker import activity as module
from distribute_challenge.execution_backends.celery.worker.activity import Activity

NOW = 1000.0


def request(name: str = "square", pid: int | None = 1, **fields: Any) -> Any:
    began = clock.monotonic() - 2
    return SimpleNamespace(name=name, worker_pid=pid, **{"began": began, "end": "done", **fields})


@pytest.fixture
def activity() -> Activity:
    watched = Activity()
    watched.watch(True)
    return watched


def test_a_report_has_the_messages_that_ended_since_the_last_report(activity: Activity) -> None:
    """A message that no child has begun is not among it."""
    activity.ended(request())
    activity.ended(request(end="lost", pid=None))
    activity.ended(request(began=None))
    done, lost = activity.report("w", NOW, []).ended
    assert (done.name, done.pid, done.state) == ("square", 1, "done")
    assert done.began == pytest.approx(NOW - 2, abs=1)
    assert done.took == pytest.approx(2, abs=1)
    assert (lost.pid, lost.state) == (0, "lost")
    assert activity.report("w", NOW, []).ended == []


def test_a_report_has_running_functions_and_memory_of_the_processes(
    activity: Activity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that waits for a child does not run."""
    running = [request(pid=os.getpid()), request(began=None), SimpleNamespace(worker_pid=3)]
    monkeypatch.setattr(state, "active_requests", running)
    report = activity.report("w", NOW, [os.getpid(), 2**22 + 1])
    busy, idle = report.processes
    assert (busy.running, idle.running, idle.memory) == ("square", "", 0)
    assert busy.memory > 1_000_000
    assert report.memory_limit > busy.memory


def test_long_reports_are_cut(activity: Activity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ENDED", 2)
    activity.watch(False)
    activity.watch(True)
    for number in range(5):
        activity.ended(request(f"f{number}"))
    for number in range(module.MOST_FAILURES + 1):
        activity.failed(request(), f"E{number}" + "x" * 5000, "y" * 20_000)
    report = activity.report("w", NOW, [])
    assert [message.name for message in report.ended] == ["f3", "f4"]
    assert report.left_out == 3
    assert len(report.failures) == module.MOST_FAILURES
    assert {len(each.error) for each in report.failures} == {module.LONGEST_ERROR}
    assert {len(each.traceback) for each in report.failures} == {module.LONGEST_TRACEBACK}


def test_texts_of_failures_can_be_sent(activity: Activity) -> None:
    """Half of a surrogate pair could not; a traceback may be missing."""
    activity.failed(request(pid=None), "KeyError: \ud800", None)
    (failure,) = activity.report("w", NOW, []).failures
    assert (failure.error, failure.traceback, failure.pid) == ("KeyError: \\ud800", "", 0)


def test_recorded_activity_is_forgotten_when_the_watch_ends(activity: Activity) -> None:
    activity.ended(request())
    activity.watch(True)  # It goes on.
    activity.watch(False)
    activity.watch(True)
    assert activity.report("w", NOW, []).ended == []
