"""Results that are unpickled when a caller asks for them."""

import concurrent.futures
import threading
from typing import Any

import pytest

from distribute_challenge.core.futures import Future
from distribute_challenge.core.outcome import Failure
from distribute_challenge.core.unopened import Unopened
from tests.forks import ended, fork
from tests.processes import PATIENCE


def test_a_result_is_unpickled_once_in_the_thread_that_asks_for_it() -> None:
    loads = []

    def load() -> list[int]:
        loads.append(threading.current_thread())
        return [4]

    future: Future[list[int]] = Future("square")
    future.resolve(Unopened(load))  # type: ignore[arg-type] # opened by `result`
    assert future.done()
    assert future.has_value()
    assert repr(future) == "<Future square finished>"
    assert loads == []
    assert future.result() is future.result()
    assert future.exception() is None
    assert repr(future) == "<Future square finished [4]>"
    assert loads == [threading.current_thread()]


@pytest.mark.parametrize("by_exception", [False, True])
def test_a_result_that_cannot_be_opened_is_the_futures_exception(by_exception: bool) -> None:
    error = ValueError("no such class")
    future: Future[Any] = Future()
    future.resolve(Unopened(lambda: Failure(error)))
    if by_exception:
        assert future.exception() is error
    with pytest.raises(ValueError, match="no such class"):
        future.result()
    assert not future.has_value()


def test_two_threads_open_the_same_result_once() -> None:
    begun, go_on = threading.Event(), threading.Event()
    loads = []

    def load() -> int:
        loads.append(1)
        begun.set()
        assert go_on.wait(PATIENCE)
        return 4

    future: Future[Any] = Future()
    future.resolve(Unopened(load))
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        first = threads.submit(future.result)
        assert begun.wait(PATIENCE)
        second = threads.submit(future.exception)
        go_on.set()
        assert (first.result(PATIENCE), second.result(PATIENCE)) == (4, None)
    future._open()  # A thread that has looked before the other one was ready.
    assert loads == [1]


def test_a_forked_child_unpickles_a_result_that_the_parent_is_unpickling() -> None:
    begun, go_on = threading.Event(), threading.Event()
    parent = threading.current_thread().ident

    def load() -> int:
        if threading.current_thread().ident != parent:
            begun.set()
            assert go_on.wait(PATIENCE)
        return 4

    future: Future[Any] = Future()
    future.resolve(Unopened(load))
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        value = threads.submit(future.result)
        assert begun.wait(PATIENCE)
        assert ended(fork(lambda: future.result() != 4)) == 0
        go_on.set()
        assert value.result(PATIENCE) == 4


@pytest.mark.parametrize("value", [1, None, "a" * 1000, b"a" * 1000])
def test_a_small_value_is_a_number_or_a_short_text(value: Any) -> None:
    future: Future[Any] = Future()
    assert future.small_value() == ()
    future.resolve(value)
    assert future.small_value() == (value,)


@pytest.mark.parametrize("value", [[1], 1j, "a" * 1001, b"a" * 1001])
def test_any_other_value_is_not_small(value: Any) -> None:
    future: Future[Any] = Future()
    future.resolve(value)
    assert future.small_value() == ()


def test_a_call_that_failed_or_was_cancelled_has_no_small_value() -> None:
    failed, cancelled = Future[Any](), Future[Any]()
    failed.fail(ValueError())
    cancelled.cancel()
    assert failed.small_value() == cancelled.small_value() == ()


def test_small_value_returns_the_value_of_a_call_that_ends_at_that_moment() -> None:
    """And not None, which is there before."""

    class Ending(Future[Any]):
        def has_value(self) -> bool:
            self.resolve(5)
            return super().has_value()

    assert Ending().small_value() == (5,)
