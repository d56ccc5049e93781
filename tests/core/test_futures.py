"""The client's end of a call: its value or exception, waited for by threads and coroutines."""

import asyncio
import concurrent.futures
import signal
import threading
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from distribute_challenge.core.futures import Future
from distribute_challenge.core.timeline import Timeline
from distribute_challenge.errors import ResultTimeoutError
from tests.processes import PATIENCE, wait_until

STAGES = (0.0, 1.0, 2.0, 3.0, 4.0, "w")


def test_a_future_is_an_instance_of_concurrent_futures_future() -> None:
    """What works on those works on this."""
    assert isinstance(Future(), concurrent.futures.Future)


def test_a_resolved_future_gives_its_value_and_timeline() -> None:
    """The timeline is made when it is asked for."""
    future: Future[int] = Future("square")
    assert future.timeline is None
    future.resolve(4, STAGES)
    assert future.result() == 4
    assert future.timeline == Timeline(*STAGES)


def test_a_failed_future_raises_its_exception() -> None:
    """Itself."""
    future: Future[int] = Future()
    error = ValueError("no")
    future.fail(error, STAGES)
    with pytest.raises(ValueError, match="no") as caught:
        future.result()
    assert caught.value is error
    assert future.timeline == Timeline(*STAGES)


def test_a_resolved_or_cancelled_future_ignores_later_outcomes() -> None:
    """Value, exception and timeline."""
    future: Future[int] = Future()
    future.resolve(1)
    future.resolve(2, STAGES)
    future.fail(ValueError(), STAGES)
    assert future.result() == 1
    assert future.exception() is None
    assert future.timeline is None
    cancelled: Future[int] = Future()
    assert cancelled.cancel()
    cancelled.resolve(1, STAGES)
    cancelled.fail(ValueError(), STAGES)
    assert cancelled.cancelled()
    assert cancelled.timeline is None


def test_result_raises_after_its_timeout_and_the_future_can_still_be_resolved() -> None:
    """The future is as before."""
    future: Future[int] = Future("square")
    with pytest.raises(
        ResultTimeoutError, match=r"square gave no result within timeout=0\.01 s.*cancel\(\)"
    ):
        future.result(timeout=0.01)
    future.resolve(4)
    assert future.result(timeout=0.01) == 4


def test_a_timeout_error_of_the_call_itself_passes_unchanged() -> None:
    """It is the result."""
    future: Future[int] = Future()
    error = TimeoutError("the user's")
    future.fail(error)
    with pytest.raises(TimeoutError) as caught:
        future.result(timeout=1)
    assert caught.value is error


def test_a_cancelled_error_of_the_call_itself_passes_unchanged() -> None:
    """The call was not cancelled, it raised."""
    future: Future[int] = Future()
    error = concurrent.futures.CancelledError("the user's")
    future.fail(error)
    with pytest.raises(concurrent.futures.CancelledError) as caught:
        future.result()
    assert caught.value is error


def test_a_future_can_be_awaited() -> None:
    """While another thread resolves it."""
    future: Future[int] = Future()

    async def main() -> int:
        threading.Timer(0, future.resolve, [4]).start()
        return await future

    assert asyncio.run(main()) == 4


def test_an_awaited_future_raises_its_exception() -> None:
    """As `result` does."""
    future: Future[int] = Future()
    future.fail(ValueError("no"))

    async def main() -> int:
        return await future

    with pytest.raises(ValueError, match="no"):
        asyncio.run(main())


def test_awaiting_a_stop_iteration_does_not_hang() -> None:
    """A coroutine cannot raise it, so it comes as the cause of a RuntimeError."""
    future: Future[int] = Future()
    future.fail(StopIteration("no"))

    async def main() -> int:
        async with asyncio.timeout(10):
            return await future

    with pytest.raises(RuntimeError) as caught:
        asyncio.run(main())
    assert isinstance(caught.value.__cause__, StopIteration)


def test_the_repr_of_a_future_shows_its_state_and_shortened_result() -> None:
    """And its result, shortened."""
    future: Future[Any] = Future("f")
    assert not future.running()
    assert repr(future) == "<Future f pending>"
    future.running_with(lambda: True)
    assert future.running()
    assert repr(future) == "<Future f running>"
    future.resolve("x" * 10_000)
    assert not future.running()
    assert repr(future).startswith("<Future f finished 'xxx")
    assert len(repr(future)) < 250
    failed, cancelled = Future[int]("f"), Future[int]("f")
    failed.fail(ValueError("no"))
    cancelled.cancel()
    assert repr(failed) == "<Future f failed ValueError('no')>"
    assert repr(cancelled) == "<Future f cancelled>"


@pytest.mark.parametrize("end", [lambda it: it.resolve(1), lambda it: it.cancel()])
@pytest.mark.parametrize("look", [False, True])
def test_callbacks_of_the_library_need_no_lock(end: Callable[[Any], object], look: bool) -> None:
    """They are called once, in order; also if a caller looks after the first of them."""
    future: Future[int] = Future()
    called: list[int] = []
    future.when_done(lambda _: called.append(1))
    future.when_done(lambda _: called.append(2))
    assert "_condition" not in vars(future)
    if look:
        future._condition  # noqa: B018
    future.when_done(lambda _: called.append(3))
    end(future)
    end(future)
    assert called == [1, 2, 3]
    future.when_done(lambda _: called.append(4))
    assert called == [1, 2, 3, 4]


def test_a_callback_of_the_library_that_raises_stops_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    future: Future[int] = Future("square")
    called: list[int] = []
    future.when_done(lambda _: int("x"))
    future.when_done(lambda _: called.append(1))
    future.resolve(1)
    assert called == [1]
    assert "a callback of <Future square finished 1> failed" in caplog.text


def test_a_caller_may_look_while_callbacks_run() -> None:
    future: Future[int] = Future()
    called: list[int] = []
    future.when_done(lambda it: called.append(len(it._done_callbacks)))
    future.resolve(1)
    assert called == [1], "none of them is called again"


def test_a_future_makes_its_lock_when_a_caller_looks() -> None:
    """There may be millions of futures that no caller looks at before they are done."""
    future: Future[int] = Future()
    called: list[Any] = []
    future.resolve(1, STAGES)
    assert future.done()
    assert future.result() == 1
    assert "_condition" not in vars(future)
    assert future.cancelled() is False
    future.when_done(called.append)
    assert called == [future]
    assert "_condition" not in vars(future)
    future.add_done_callback(called.append)
    assert called == [future, future]
    assert vars(future)["_condition"] is future.__getattr__("_condition")
    with pytest.raises(AttributeError, match="'Future' object has no attribute 'colour'"):
        future.colour  # type: ignore[attr-defined] # noqa: B018


def test_a_future_that_is_done_takes_little_memory() -> None:
    """It has no dictionary of its own, even if many were made before the first was done."""
    tracemalloc.start()
    try:
        futures: list[Future[int]] = [Future() for _ in range(1_000)]
        for future in futures:
            future.when_done(id)
            future.resolve(1, STAGES)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size / len(futures) < 270  # Bytes; with a dictionary 350.


def test_a_caller_that_waits_while_the_future_is_resolved_gets_the_value() -> None:
    """No waiter is left behind, however close the two come."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for number in range(500):
            future: Future[int] = Future()
            barrier = threading.Barrier(2)

            def resolve(
                future: Future[int] = future,
                barrier: threading.Barrier = barrier,
                number: int = number,
            ) -> None:
                barrier.wait(60)
                future.resolve(number, STAGES)

            def wait(future: Future[int] = future, barrier: threading.Barrier = barrier) -> int:
                barrier.wait(60)
                return future.result(60)

            waiting, _ = pool.submit(wait), pool.submit(resolve)
            assert waiting.result(60) == number
            called: list[int] = []
            future.add_done_callback(lambda done, called=called: called.append(done.result()))  # type: ignore[misc]
            assert called == [number]


def test_a_waiter_is_woken_by_the_value(eventually: Callable[[Callable[[], bool]], None]) -> None:
    future: Future[int] = Future()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(future.result, 10)
        eventually(lambda: "_latch" in vars(future))
        future.resolve(4)
        assert waiting.result(60) == 4


def test_a_signal_handler_runs_while_a_caller_waits_for_the_result() -> None:
    """As one that comes in the instant before the wait: here it is another thread's, so that it
    comes in that instant each time.
    """
    future: Future[bool] = Future()
    seen = threading.Event()

    def send() -> None:
        wait_until(lambda: "_latch" in vars(future))
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        future.resolve(seen.wait(PATIENCE))

    before = signal.signal(signal.SIGUSR1, lambda *_: seen.set())
    sender = threading.Thread(target=send)
    try:
        sender.start()
        assert future.result()
    finally:
        sender.join()
        signal.signal(signal.SIGUSR1, before)


def test_an_exception_that_comes_second_changes_nothing() -> None:
    future: Future[int] = Future()
    future.fail(KeyError("first"))
    future.fail(ValueError("second"))
    for _ in range(2):
        with pytest.raises(KeyError) as caught:
            future.result()
        assert caught.traceback[-1].name == "test_an_exception_that_comes_second_changes_nothing"
