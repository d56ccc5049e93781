"""An engine that lets a number of calls through to another one."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distribute_challenge import ExecutionBackend, compute_this
from distribute_challenge.core.futures import Future
from distribute_challenge.core.messages import FunctionPayload, Task
from distribute_challenge.core.options import CallOptions
from distribute_challenge.errors import SetupError, SystemFailureError
from distribute_challenge.execution_backends import limited
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.limited import LimitedBackend
from distribute_challenge.execution_backends.local import LocalExecutionBackend
from distribute_challenge.execution_backends.pools import (
    ProcessesExecutionBackend,
    ThreadsExecutionBackend,
)
from tests.calls import wait_for
from tests.forks import ended, fork

Eventually = Callable[[Callable[[], bool]], None]
TIMEOUT = 60  # Seconds after which a test would rather fail than wait.


class Held(ExecutionBackend):
    """Keeps what it gets, for the test to end it."""

    honours = ThreadsExecutionBackend.honours
    concurrency = 8
    shares_files = True

    def __init__(self) -> None:
        self.futures: list[Future[Any]] = []
        self.tasks: list[Task] = []
        self.error: BaseException | None = None

    def submit(self, task: Task) -> Future[Any]:
        if self.error is not None:
            raise self.error
        future: Future[Any] = Future(task.function.name)
        self.tasks.append(task)
        self.futures.append(future)
        return future


@pytest.fixture
def held() -> Held:
    return Held()


@compute_this
def echo(x: Any) -> Any:
    return x


def test_no_more_calls_than_the_limit_are_with_the_engine(
    held: Held, eventually: Eventually
) -> None:
    """When one ends, the next one goes: first by priority, then by age."""
    backend = LimitedBackend(held, 2)
    assert backend.concurrency == 2
    futures = [echo(number).submit(backend) for number in range(4)]
    urgent = echo.with_options(priority=5)("urgent").submit(backend)
    assert len(held.futures) == 2
    assert backend.unfinished() == 3
    held.futures[1].resolve("second")
    assert futures[1].result(TIMEOUT) == "second"
    eventually(lambda: len(held.futures) == 3)
    held.futures[2].resolve("urgent")
    assert urgent.result(TIMEOUT) == "urgent"
    eventually(lambda: len(held.futures) == 4)
    held.futures[3].fail(ValueError("third"))
    with pytest.raises(ValueError, match="third"):
        futures[2].result(TIMEOUT)


def test_a_limited_backend_honours_the_engines_options_except_queue_timeout(held: Held) -> None:
    """Calls wait here, where the engine does not see them."""
    assert LimitedBackend(held).honours == held.honours
    assert LimitedBackend(held, 1).honours == held.honours - {"queue_timeout"}
    assert LimitedBackend(held).concurrency == 8
    assert LimitedBackend(held).shares_files
    assert LimitedBackend(held).depot() is None


def test_a_waiting_call_is_cancelled_at_once_and_a_passed_on_call_by_the_engine(
    held: Held, eventually: Eventually
) -> None:
    backend = LimitedBackend(held, 1)
    first, second, third = (echo(number).submit(backend) for number in range(3))
    assert repr(second) == "<Future echo(1) pending>"
    assert second.cancel()
    assert second.cancel()
    held.futures[0].withdraw_with(lambda: False)
    assert not first.cancel()
    assert first.cancel(force=True)
    assert held.futures[0].cancelled() is False  # It cannot be stopped, and its value is dropped.
    held.futures[0].resolve(0)
    eventually(lambda: len(held.futures) == 2)
    assert third.cancel()
    assert held.futures[1].cancelled()


def test_a_future_shows_what_the_engine_knows(held: Held) -> None:
    backend = LimitedBackend(held, 1)
    first, second = echo(1).submit(backend), echo(2).submit(backend)
    assert not first.running()
    held.futures[0].running_with(lambda: True)
    assert first.running()
    assert not second.running()
    assert repr(first) == "<Future echo running>"
    assert first.logs() == second.logs() == []
    held.futures[0].resolve(1)
    assert repr(first) == "<Future echo finished 1>"
    assert first.logs() == []
    assert first.call_text() == "echo"


def test_an_engine_that_fails_fails_the_call_and_lets_the_next_through(
    held: Held, eventually: Eventually
) -> None:
    """At submit it raises; a call that has waited gets the error."""
    backend = LimitedBackend(held, 1)
    held.error = SystemFailureError("gone")
    with pytest.raises(SystemFailureError, match="gone"):
        echo(1).submit(backend)
    held.error = None
    echo(1).submit(backend)
    waiting = [echo(number).submit(backend) for number in range(2)]
    held.error = SystemFailureError("gone again")
    held.futures[0].resolve(1)
    for future in waiting:
        with pytest.raises(SystemFailureError, match="gone again"):
            future.result(TIMEOUT)


def test_a_call_cancelled_while_it_is_passed_on_does_not_reach_the_engine(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it take the place of the next one."""
    jobs: list[Any] = []
    monkeypatch.setattr(limited._dispatcher, "put", jobs.append)
    backend = LimitedBackend(held, 1)
    first, second, third = (echo(number).submit(backend) for number in range(3))
    held.futures[0].resolve(0)
    assert not second.cancel()
    assert second.cancel(force=True)
    for _ in range(2):
        call, (pass_on,) = jobs.pop(0)
        pass_on(call)
    assert len(held.futures) == 2
    held.futures[1].resolve(2)
    assert third.result(TIMEOUT) == 2
    assert first.result(TIMEOUT) == 0


def test_a_call_cancelled_before_the_engine_returns_its_future_is_cancelled_there(
    held: Held,
) -> None:
    backend = LimitedBackend(held, 1)
    task = Task(FunctionPayload("", b"", "echo"), b"", CallOptions(), 0.0)
    call = limited.LimitedCall(task, backend)
    call.cancel(force=True)
    inner: Future[Any] = Future("echo")
    call.goes_on(inner)
    assert inner.cancelled()


def test_a_broken_backend_fails_all_calls_and_refuses_further_ones(
    held: Held, eventually: Eventually
) -> None:
    """Those that the engine has not begun are cancelled there."""
    backend = LimitedBackend(held, 1)
    futures = [echo(number).submit(backend) for number in range(3)]
    backend.break_with(lambda: SetupError("broken"))
    for future in futures:
        with pytest.raises(SetupError, match="broken"):
            future.result(TIMEOUT)
    assert held.futures[0].cancelled()
    with pytest.raises(SetupError, match="broken"):
        echo(1).submit(backend)
    assert len(held.futures) == 1


def test_closing_cancels_waiting_calls_and_leaves_the_engine_open(held: Held) -> None:
    backend = LimitedBackend(held, 1)
    first, second = echo(1).submit(backend), echo(2).submit(backend)
    backend.close()
    assert second.cancelled()
    assert not first.done()


def test_large_values_of_calls_that_do_not_go_are_freed(
    tmp_path: Path, eventually: Eventually
) -> None:
    with CeleryExecutionBackend(local=True, workers=1) as engine:
        backend = LimitedBackend(engine, 1)
        door = tmp_path / "door"
        running = wait_for(str(door)).submit(backend)
        values = [np.zeros(100_000) + number for number in range(2)]
        waiting = [echo(value).submit(backend) for value in values]
        depot = engine.depot()

        def used() -> int:
            depot.sweep(1e9)
            return sum(value.users for value in depot._record.values.values())

        assert used() == 2
        assert waiting[0].cancel()
        assert used() == 1
        backend.break_with(lambda: SetupError("broken"))
        assert used() == 0
        door.touch()
        eventually(running.done)


def test_a_child_of_a_fork_has_none_of_its_parents_calls(held: Held) -> None:
    backend = LimitedBackend(held, 1)
    future = echo(1).submit(backend)

    def child() -> bool:
        echo(2).submit(backend)
        return len(held.futures) == 2 and future.exception() is not None

    assert ended(fork(child)) == 1


@pytest.fixture(params=[LocalExecutionBackend, lambda: ProcessesExecutionBackend(1)])
def engine(request: pytest.FixtureRequest) -> Iterator[ExecutionBackend]:
    with request.param() as engine:
        yield engine


def test_real_engines_run_all_calls(engine: ExecutionBackend) -> None:
    backend = LimitedBackend(engine, 2)
    futures = [echo(number).submit(backend) for number in range(20)]
    assert [future.result(TIMEOUT) for future in futures] == list(range(20))
    assert list(echo.map(range(20), backend=backend)) == list(range(20))
