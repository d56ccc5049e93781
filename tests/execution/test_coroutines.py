"""Coroutines from ordinary code."""

import asyncio
import contextvars
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from distribute_challenge.errors import CallTimeoutError
from distribute_challenge.execution import coroutines
from distribute_challenge.execution.coroutines import run_to_completion
from distribute_challenge.execution.time_limit import OverdueError, TimeLimit
from tests.forks import ended, fork

DEAF_FOR = 15.0  # Seconds.

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


async def loop_and_thread() -> tuple[int, int]:
    return id(asyncio.get_running_loop()), threading.get_ident()


async def value_of_variable() -> str:
    return variable.get()


def test_a_coroutine_gives_its_value() -> None:
    """The caller has no loop."""
    assert run_to_completion(asyncio.sleep(0, 4)) == 4


def test_a_fork_leaves_the_parent_s_loops_as_they_are() -> None:
    """Other threads can still wake them, whatever the child does with its copies."""

    def in_child() -> None:
        assert run_to_completion(asyncio.to_thread(int, "2")) == 2
        coroutines._close()
        gc.collect()

    async def woken() -> bool:
        began = time.monotonic()
        # Late enough that the loop waits. One that is not woken sees it when the time is over.
        await asyncio.wait_for(asyncio.to_thread(threading.Event().wait, 0.05), DEAF_FOR)
        return time.monotonic() - began < DEAF_FOR

    with ThreadPoolExecutor(1) as other:
        assert run_to_completion(asyncio.sleep(0, 1)) == 1
        assert other.submit(run_to_completion, asyncio.sleep(0, 1)).result() == 1
        assert ended(fork(in_child)) == 0
        assert run_to_completion(woken())
        assert other.submit(run_to_completion, woken()).result()


def test_a_coroutine_s_exception_comes_through() -> None:
    """The next coroutine runs as usual."""

    async def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run_to_completion(fail())
    assert run_to_completion(asyncio.sleep(0, 4)) == 4


def test_a_thread_keeps_one_loop_for_all_its_calls() -> None:
    """So a call can use a connection that an earlier call opened."""
    assert run_to_completion(loop_and_thread()) == run_to_completion(loop_and_thread())


def test_under_a_running_loop_a_coroutine_runs_in_another_thread_with_its_context() -> None:
    """A notebook has a running loop."""

    async def main() -> None:
        token = variable.set("set")
        assert run_to_completion(value_of_variable()) == "set"
        assert run_to_completion(loop_and_thread())[1] != threading.get_ident()
        variable.reset(token)

    asyncio.run(main())


def test_a_coroutine_that_ran_too_long_does_not_go_on_in_the_next_call() -> None:
    """Stopped is stopped."""
    steps: list[str] = []
    go_on = asyncio.Event()

    async def slow() -> None:
        try:
            # The time is over when it waits.
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGALRM)).start()
            await go_on.wait()
            steps.append("went on")
        finally:
            steps.append("cleaned up")

    async def next_call() -> None:
        go_on.set()
        await asyncio.sleep(0.01)

    with pytest.raises(CallTimeoutError), TimeLimit(60, "slow").running():
        run_to_completion(slow())
    run_to_completion(next_call())
    assert steps == ["cleaned up"]


def test_a_coroutine_that_raises_system_exit_leaves_the_thread_usable() -> None:
    """SystemExit ends its call and leaves a usable thread."""

    async def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        run_to_completion(leave())
    assert run_to_completion(asyncio.sleep(0, 4)) == 4


def in_main_thread(function: Callable[[], object]) -> object:
    return function()


def in_other_thread(function: Callable[[], object]) -> object:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def under_a_loop(function: Callable[[], object]) -> object:
    async def main() -> object:
        return function()

    return asyncio.run(main())


where = pytest.mark.parametrize("run", [in_main_thread, in_other_thread, under_a_loop])


@where
def test_a_limit_stops_a_coroutine_that_waits(run: Callable[..., object]) -> None:
    """It does so from any thread and any loop."""

    def call() -> object:
        with TimeLimit(0.02, "slow").running():
            return run_to_completion(asyncio.sleep(30), 0.02)

    with pytest.raises(CallTimeoutError, match="slow ran longer"):
        run(call)


@where
def test_a_coroutine_within_its_limit_gives_its_value_or_its_own_timeout_error(
    run: Callable[..., object],
) -> None:
    """The limit does not show."""

    async def fail() -> None:
        raise TimeoutError("the user's")

    assert run(lambda: run_to_completion(asyncio.sleep(0, 4), 30)) == 4
    with pytest.raises(TimeoutError, match="the user's"):
        run(lambda: run_to_completion(fail(), 30))


def complaints(caught: list[warnings.WarningMessage]) -> list[str]:
    """Warnings of coroutines and loops; threads of earlier tests may give others just now."""
    texts = [str(each.message) for each in caught]
    return [text for text in texts if "never awaited" in text or "event loop" in text]


@pytest.fixture
def collected() -> None:
    """What earlier tests have left to the garbage collector is gone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


@pytest.mark.usefixtures("collected")
@pytest.mark.slow
def test_the_loop_of_an_ended_thread_is_closed_although_another_loop_runs() -> None:
    """The garbage collector comes when it likes, in any thread."""
    loops: list[asyncio.AbstractEventLoop] = []

    async def note() -> None:
        loops.append(asyncio.get_running_loop())

    async def main() -> None:
        thread = threading.Thread(target=lambda: run_to_completion(note()))
        thread.start()
        thread.join(60)
        gc.collect()

    asyncio.run(main())
    assert loops[0].is_closed()


def test_the_loop_of_an_ended_thread_is_closed_although_a_traceback_is_kept() -> None:
    loops: list[asyncio.AbstractEventLoop] = []
    errors: list[BaseException] = []

    async def fail() -> None:
        loops.append(asyncio.get_running_loop())
        raise ValueError

    def run() -> None:
        try:
            run_to_completion(fail())
        except ValueError as error:
            errors.append(error)

    in_other_thread(run)
    assert errors[0].__traceback__ is not None
    assert loops[0].is_closed()


def test_errors_of_leftover_tasks_and_generators_are_logged_when_the_call_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """asyncio logs what is wrong in a task without a waiter. The call has its value."""
    held: list[object] = []

    async def stray() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            raise ValueError("at the end of a task")

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            raise ValueError("at the end of a generator")

    async def leave() -> int:
        held.append(asyncio.create_task(stray()))
        generator = numbers()
        held.append(generator)
        return await anext(generator)

    assert run_to_completion(leave()) == 1
    assert "at the end of a task" in caplog.text
    assert "at the end of a generator" in caplog.text


@pytest.mark.slow
def test_event_loops_are_closed_without_a_warning_when_the_interpreter_exits() -> None:
    """Used or not."""
    program = """
import asyncio, distribute_challenge.execution.coroutines as coroutines
if {used}:
    coroutines.run_to_completion(asyncio.sleep(0))
"""
    for used in (True, False):
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-c", program.format(used=used)],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.usefixtures("collected")
@pytest.mark.parametrize("seconds", [None, 5.0])
@pytest.mark.parametrize("where", ["_alone", "_loop_runs", "_run_in_this_thread", "_Generators"])
def test_a_call_whose_time_is_over_before_its_coroutine_begins_leaves_no_warning(
    where: str, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The coroutines around it may have begun, or not."""

    def too_late(*_: object) -> None:
        raise OverdueError

    monkeypatch.setattr(coroutines, where, too_late)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(OverdueError):
            run_to_completion(value_of_variable(), seconds)
        gc.collect()
    assert complaints(caught) == []


@pytest.mark.usefixtures("collected")
def test_a_call_whose_time_is_over_while_its_loop_is_made_leaves_no_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Late(asyncio.Runner):
        def get_loop(self) -> asyncio.AbstractEventLoop:
            super().get_loop()
            raise OverdueError

    monkeypatch.setattr(asyncio, "Runner", Late)
    with warnings.catch_warnings(record=True) as caught, ThreadPoolExecutor(1) as pool:
        warnings.simplefilter("always")
        with pytest.raises(OverdueError):
            pool.submit(run_to_completion, value_of_variable()).result()
        gc.collect()
    assert complaints(caught) == []
