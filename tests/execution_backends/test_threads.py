"""A pool of threads."""

import os
import threading
import time
from collections.abc import Callable
from typing import ClassVar

import pytest

from distribute_challenge import compute_this
from distribute_challenge.execution_backends.pools import ThreadsExecutionBackend


def test_there_are_four_threads_for_each_core_unless_told(
    clean_environment: pytest.MonkeyPatch,
) -> None:
    """Threads are for waiting."""
    clean_environment.setenv("DISTRIBUTE_CHALLENGE_WORKERS", "3")
    assert ThreadsExecutionBackend().concurrency == 12
    assert ThreadsExecutionBackend(5).concurrency == 5


def test_calls_run_in_threads_of_this_process() -> None:
    """The timeline names the thread."""
    with ThreadsExecutionBackend(1) as pool:
        future = compute_this(lambda: (os.getpid(), threading.current_thread().name))().submit(pool)
        process, thread = future.result(60)
    assert process == os.getpid()
    assert thread.startswith("distribute_challenge")
    assert future.timeline is not None
    assert future.timeline.worker.endswith(thread)


def test_as_many_calls_run_at_the_same_time_as_there_are_threads() -> None:
    """They meet at a barrier."""
    with ThreadsExecutionBackend(3) as pool:
        futures = [meet().submit(pool) for _ in range(3)]
        assert sorted(future.result(60) for future in futures) == [0, 1, 2]


BARRIER = threading.Barrier(3, timeout=10)


@compute_this
def meet() -> int:
    return BARRIER.wait()


def test_a_call_that_raises_keyboard_interrupt_fails_and_the_pool_goes_on() -> None:
    """The thread goes on to the next."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    with ThreadsExecutionBackend(1) as pool:
        assert isinstance(compute_this(interrupt)().submit(pool).exception(60), KeyboardInterrupt)
        assert compute_this(lambda: 1)().compute(pool) == 1


def test_a_cancelled_thread_in_c_code_stops_when_the_c_code_returns() -> None:
    """Its future is cancelled before that."""
    with ThreadsExecutionBackend(1) as pool:
        begun = threading.Event()
        lines = []

        def sleep() -> None:
            begun.set()
            time.sleep(0.3)
            lines.append("after it")

        interruptible = compute_this(_Called(sleep))().submit(pool)
        assert begun.wait(60)
        assert interruptible.cancel(force=True)
        assert interruptible.cancelled()
        assert compute_this(len)("abc").submit(pool).result(60) == 3
        assert not lines


class _Called:
    """Calls a function of this very process: closures travel as copies."""

    functions: ClassVar[dict[int, Callable[[], None]]] = {}

    def __init__(self, function: Callable[[], None]) -> None:
        self.number = len(self.functions)
        self.functions[self.number] = function

    def __call__(self) -> None:
        self.functions[self.number]()
