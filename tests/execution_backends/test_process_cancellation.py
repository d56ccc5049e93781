"""Calls that are cancelled while a process of the pool runs them, starts or ends."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from distribute_challenge import compute_this
from distribute_challenge.errors import CallCancelledError
from distribute_challenge.execution.surroundings import Surroundings
from distribute_challenge.execution_backends.pools import (
    ProcessesExecutionBackend,
    process,
    processes,
)
from distribute_challenge.execution_backends.pools.pool import PoolCall
from tests.calls import process_id, wait_for
from tests.processes import wait_until

pytestmark = pytest.mark.slow
unmeasured = pytest.mark.usefixtures("unmeasured")  # What is killed saves nothing.

TIMEOUT = 60  # Seconds after which a test would rather fail than wait.


@unmeasured
def test_a_loop_in_c_is_cancelled_by_killing_its_process_and_no_other(
    tmp_path: Path, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    @compute_this
    def count() -> int:
        (tmp_path / "counting").touch()
        return sum(range(10**12))

    with ProcessesExecutionBackend(2) as backend:
        door = str(tmp_path / "door")
        neighbour = compute_this(wait_for.__wrapped__, at_most_once=True)(door).submit(backend)
        future = count().submit(backend)
        eventually((tmp_path / "counting").exists)
        assert future.cancel(force=True)
        assert compute_this(len)("abc").compute(backend, timeout=TIMEOUT) == 3
        Path(door).touch()
        assert neighbour.result(TIMEOUT) == "done"
        assert future.cancelled()


@unmeasured
def test_a_call_that_is_cancelled_while_the_interpreter_ends_is_killed_at_once(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    eventually: Callable[[Callable[[], bool]], None],
) -> None:
    """There are no threads any more that could do so later."""

    def refuse(timer: threading.Timer) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    with ProcessesExecutionBackend(1) as backend:
        future = wait_for(str(tmp_path / "door")).submit(backend)
        eventually((tmp_path / "door.begun").exists)
        with monkeypatch.context() as context:
            context.setattr(threading.Timer, "start", refuse)
            assert future.cancel(force=True)
        assert compute_this(len)("abc").compute(backend, timeout=TIMEOUT) == 3


class Starting(process.WorkerProcess):
    """A process, while whose start something else happens."""

    meanwhile: ClassVar[Callable[[], object]]

    def __init__(self, here: Surroundings) -> None:
        super().__init__(here)
        type(self).meanwhile()


def test_a_call_that_is_cancelled_while_its_process_starts_does_not_begin(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cancelled = threading.Event()
    monkeypatch.setattr(Starting, "meanwhile", lambda: cancelled.wait(TIMEOUT), raising=False)
    monkeypatch.setattr(processes, "WorkerProcess", Starting)
    with ProcessesExecutionBackend(1) as backend:
        future = wait_for(str(tmp_path / "door")).submit(backend)
        wait_until(future.running)
        assert future.cancel(force=True)
        cancelled.set()
        assert compute_this(len)("abc").compute(backend, timeout=TIMEOUT) == 3
    assert not (tmp_path / "door.begun").exists()


def test_a_pool_that_is_closed_while_a_process_starts_does_not_keep_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    backend = ProcessesExecutionBackend(1)
    monkeypatch.setattr(Starting, "meanwhile", backend.close, raising=False)
    monkeypatch.setattr(processes, "WorkerProcess", Starting)
    future = wait_for(str(tmp_path / "door")).submit(backend)
    with pytest.raises(CallCancelledError):
        future.result(TIMEOUT)
    (thread,) = backend._pool._threads
    thread.join(TIMEOUT)
    assert not (tmp_path / "door.begun").exists()


def test_a_call_that_is_lost_when_its_pool_is_closed_is_cancelled() -> None:
    pool = ProcessesExecutionBackend(1)._pool
    call = PoolCall(process_id()._task(), pool)
    pool.close()
    runner = processes._ProcessRunner(pool, 3, Surroundings.of_this_process())
    runner._again(call)
    runner.forget()  # It has no process.
    assert call.cancelled()


def test_no_signal_is_sent_to_a_process_that_has_ended() -> None:
    """Its number may be another's."""
    ended = process.WorkerProcess(Surroundings.of_this_process())
    ended.close()
    ended.interrupt()
    ended.kill()
    assert ended.has_ended()
