"""Stopping what runs too long."""

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from distribute_challenge.errors import CallTimeoutError
from distribute_challenge.execution.time_limit import OverdueError, TimeLimit

LONG = 30  # Seconds that nothing here really waits.


def in_main_thread(function: Callable[[], Any]) -> Any:
    return function()


def in_other_thread(function: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


where = pytest.mark.parametrize("run", [in_main_thread, in_other_thread])


def spin() -> None:
    """Python code that would go on for long."""
    end = time.monotonic() + LONG
    while time.monotonic() < end:
        pass


@where
def test_a_block_that_is_too_slow_is_stopped_with_its_name_and_limit(
    run: Callable[..., Any],
) -> None:
    """Within a Python loop."""

    def block() -> None:
        with TimeLimit(0.02, "f").running():
            spin()

    with pytest.raises(
        CallTimeoutError, match=r"f ran longer than timeout=0\.02 s and was stopped"
    ):
        run(block)


@where
def test_except_exception_in_the_block_does_not_swallow_it(run: Callable[..., Any]) -> None:
    """Only `except BaseException` could."""

    def block() -> None:
        with TimeLimit(0.02, "f").running():
            try:
                spin()
            except Exception:
                spin()

    with pytest.raises(CallTimeoutError):
        run(block)


@where
@pytest.mark.parametrize("error", [ValueError("no"), StopIteration("no")])
def test_the_block_s_own_exception_comes_through(run: Callable[..., Any], error: Exception) -> None:
    """Itself."""

    def block() -> None:
        with TimeLimit(LONG, "f").running():
            raise error

    with pytest.raises(type(error)) as caught:
        run(block)
    assert caught.value is error


def test_a_sleep_in_the_main_thread_is_interrupted() -> None:
    """A signal interrupts it."""
    with pytest.raises(CallTimeoutError), TimeLimit(0.02, "f").running():
        time.sleep(LONG)


def test_the_signal_s_former_action_comes_back() -> None:
    """The user's own alarm goes on working."""
    before = signal.getsignal(signal.SIGALRM)
    with TimeLimit(LONG, "f").running():
        assert signal.getsignal(signal.SIGALRM) is not before
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_the_timer_signal_is_repeated_if_it_came_just_before_a_wait() -> None:
    """The wait had not begun, so the first signal interrupts nothing."""
    with TimeLimit(LONG, "f").running():
        assert signal.getitimer(signal.ITIMER_REAL)[1] > 0

    def block() -> None:
        handler = signal.getsignal(signal.SIGALRM)
        signal.signal(signal.SIGALRM, lambda *_: restore(handler))
        time.sleep(LONG)

    def restore(handler: Any) -> None:
        signal.signal(signal.SIGALRM, handler)

    with pytest.raises(CallTimeoutError), TimeLimit(0.2, "f").running():
        block()


def test_a_block_is_interrupted_once() -> None:
    """What cleans up is not."""
    steps: list[str] = []

    def block() -> None:
        try:
            time.sleep(LONG)
        finally:
            os.kill(os.getpid(), signal.SIGALRM)
            steps.append("cleaned up")

    with pytest.raises(CallTimeoutError), TimeLimit(0.02, "f").running():
        block()
    assert steps == ["cleaned up"]


def test_a_limit_that_is_reached_while_its_block_is_entered_is_translated() -> None:
    """Then the exception passes no line of the context manager."""
    limit, error = TimeLimit(1.0, "f"), ValueError("no")
    assert isinstance(limit.translated(OverdueError(limit)), CallTimeoutError)
    assert isinstance(limit.translated(OverdueError()), CallTimeoutError)
    other = OverdueError(object())
    assert limit.translated(other) is other
    assert limit.translated(error) is error


def test_the_inner_of_two_limits_stops_the_inner_block() -> None:
    """The outer one goes on."""
    with TimeLimit(LONG, "outer").running():
        with pytest.raises(CallTimeoutError, match="inner"), TimeLimit(0.02, "inner").running():
            time.sleep(LONG)
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= LONG


def test_the_outer_of_two_limits_stops_both_blocks() -> None:
    """It stops them when the inner one is over, however long that takes."""

    def both() -> None:
        with TimeLimit(0.02, "outer").running():
            with TimeLimit(LONG, "inner").running():
                end = time.monotonic() + 0.05
                while time.monotonic() < end:
                    pass
            time.sleep(LONG)

    with pytest.raises(CallTimeoutError, match="outer"):
        both()


def test_an_inner_limit_passes_on_the_exception_of_an_outer_limit() -> None:
    """It passes it on."""
    with pytest.raises(OverdueError), TimeLimit(LONG, "inner").running():
        raise OverdueError(object())


@where
def test_a_block_that_is_fast_enough_leaves_no_timer(run: Callable[..., Any]) -> None:
    """So no exception comes later."""
    before = threading.active_count()

    def block() -> None:
        for _ in range(10):
            with TimeLimit(LONG, "f").running():
                pass

    run(block)
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    deadline = time.monotonic() + 60
    while threading.active_count() > before:
        assert time.monotonic() < deadline


def test_a_timer_that_fires_while_the_block_ends_stops_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its exception would meet whatever the thread does next."""

    class LateTimer(threading.Timer):
        def start(self) -> None: ...

        def cancel(self) -> None:
            self.function()

    monkeypatch.setattr(threading, "Timer", LateTimer)

    def block() -> str:
        with TimeLimit(LONG, "f").running():
            pass
        return "".join(str(number) for number in range(3))

    assert in_other_thread(block) == "012"
