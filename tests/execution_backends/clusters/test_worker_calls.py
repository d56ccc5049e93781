"""Calls in processes beside a worker of another system."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge import compute_this
from distribute_challenge.core.messages import Reply, Task
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.execution_backends.clusters import worker_calls
from distribute_challenge.execution_backends.clusters.worker_calls import (
    Answer,
    Message,
    WorkerCalls,
)
from distribute_challenge.execution_backends.frames import task_frame
from distribute_challenge.serialisation.outcomes import decode_outcomes
from tests.calls import process_id, wait_in_process
from tests.processes import alive, wait_until

pytestmark = pytest.mark.slow


class Taking(ExecutionBackend):
    """Keeps the task in place of running it."""

    def submit(self, task: Task) -> Any:
        self.task = task


def task_of(call: Any) -> Task:
    backend = Taking()
    call.submit(backend)
    return backend.task


def message_of(id: str, call: Any) -> Message:  # noqa: A002 - as in `Message`
    task = task_of(call)
    return Message(id, task.function.digest, task.function.payload, task_frame(task), None)


class Calls(WorkerCalls):
    """The calls of a worker, with threads that wait for them."""

    def __init__(self) -> None:
        super().__init__("test")
        self.threads = ThreadPoolExecutor(2)

    def begin(self, message: str, call: Any) -> "Future[Answer]":
        return self.threads.submit(self.run, message_of(message, call))

    def value(self, message: str, call: Any) -> Any:
        return value_of(self.begin(message, call).result(30))


def value_of(answer: Answer) -> Any:
    (frame,) = answer.frames
    (outcome,) = decode_outcomes(Reply.decode(frame))
    return outcome


@pytest.fixture
def calls() -> Iterator[Calls]:
    calls = Calls()
    yield calls
    calls.threads.shutdown()
    calls.end_idle()


def waiting(folder: Path) -> Any:
    return compute_this(wait_in_process)(str(folder / "door"))


def process_in(folder: Path) -> int:
    """The process in which `waiting` runs, once it does."""
    wait_until(lambda: list(folder.glob("door.*")), "the call's begin")
    return int(next(folder.glob("door.*")).suffix[1:])


def test_a_process_runs_one_call_after_the_other_until_it_ends(calls: Calls) -> None:
    first = calls.value("1", process_id())
    assert first != os.getpid()
    assert calls.value("2", process_id()) == first
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not alive([first]))
    second = calls.value("3", process_id())
    assert second != first
    calls.end_idle()
    assert not alive([second])


def test_a_process_that_a_call_has_spoilt_is_replaced(calls: Calls) -> None:
    def spoil() -> int:
        from distribute_challenge.execution import process_state

        process_state._spoilt = True
        return os.getpid()

    first = calls.value("1", compute_this(spoil)())
    assert calls.value("2", process_id()) != first
    assert not alive([first])


def test_calls_that_run_at_the_same_time_have_a_process_each(calls: Calls, tmp_path: Path) -> None:
    held = calls.begin("1", waiting(tmp_path))
    other = process_in(tmp_path)
    assert calls.value("2", process_id()) != other
    assert calls.is_running("1")
    assert not calls.is_running("2")
    (tmp_path / "door").touch()
    assert value_of(held.result(30)) == other


def test_a_function_is_asked_for_once(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """The functions that were needed last are kept."""
    monkeypatch.setattr(worker_calls, "KEPT_FUNCTIONS", 1)
    message = message_of("1", process_id())
    unknown = message._replace(payload=None)
    assert calls.run(unknown) == Answer(needs_function=True)
    assert calls.run(message).frames
    assert calls.run(unknown).frames
    calls.value("4", compute_this(abs)(-1))
    assert calls.run(unknown).needs_function


def test_a_withdrawn_call_does_not_begin(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """The latest are remembered."""
    monkeypatch.setattr(worker_calls, "KEPT_IDS", 2)
    assert calls.withdraw("1")
    calls.stop("2")
    assert calls.begin("1", process_id()).result(30) == Answer()
    assert calls.begin("2", process_id()).result(30) == Answer()
    calls.admit("2")
    assert calls.value("2", process_id())
    assert not calls.withdraw("2")
    for message in "345":
        assert calls.withdraw(message)
    assert calls.value("1", process_id())


def test_a_call_is_stopped_while_its_process_starts(
    calls: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = calls._process

    def stop_first() -> Any:
        calls.stop("1")
        return start()

    monkeypatch.setattr(calls, "_process", stop_first)
    calls.begin("1", waiting(tmp_path)).result(30)
    assert not list(tmp_path.iterdir())


def test_a_call_that_does_not_stop_ends_with_its_process(calls: Calls, tmp_path: Path) -> None:
    """One that has ended is left alone."""

    def endless(folder: str) -> None:
        while True:
            with suppress(BaseException):
                Path(folder, f"door.{os.getpid()}").touch()
                sum(range(10**12))

    running = calls.begin("1", compute_this(endless)(str(tmp_path)))
    process_in(tmp_path)
    calls.stop("1")
    end = running.result(30).end
    assert end is not None
    assert end.has_begun
    assert end.facts["signal"] == "SIGKILL"
    calls.stop("1")
    calls._kill(worker_calls._Running())
    assert calls.value("2", process_id())


def test_a_worker_has_one_process_pool_for_each_engine() -> None:
    assert worker_calls.calls("a system") is worker_calls.calls("a system")
    assert worker_calls.calls("a system") is not worker_calls.calls("another")
    worker_calls._end()
