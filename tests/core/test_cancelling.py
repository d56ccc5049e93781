"""Futures that are cancelled, before and while their call ends."""

import asyncio
import concurrent.futures
import threading

import pytest

from distribute_challenge.core.futures import Future
from distribute_challenge.errors import CallCancelledError


def test_a_call_that_no_worker_began_is_cancelled() -> None:
    """Its result says so."""
    future: Future[int] = Future("square")
    assert future.cancel()
    assert future.cancelled()
    with pytest.raises(CallCancelledError, match="square was cancelled"):
        future.result()


def test_cancelling_twice_is_cancelling_once() -> None:
    """As with any future of the standard library."""
    future: Future[int] = Future()
    assert future.cancel()
    assert future.cancel()


def test_many_threads_may_cancel_at_once() -> None:
    """All of them hear that it is cancelled."""
    for _ in range(50):
        future: Future[int] = Future()
        barrier = threading.Barrier(4)

        def cancel(future: Future[int] = future, barrier: threading.Barrier = barrier) -> bool:
            barrier.wait(60)
            return future.cancel()

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            assert all(done.result(60) for done in [pool.submit(cancel) for _ in range(4)])


def test_cancelling_a_resolved_future_returns_false() -> None:
    """It is too late."""
    future: Future[int] = Future()
    future.resolve(1)
    assert not future.cancel()
    assert future.result() == 1


def test_cancelling_asks_the_engine_first() -> None:
    """A call that has begun is not cancelled."""
    future: Future[int] = Future()
    future.withdraw_with(lambda: False)
    assert not future.cancel()
    assert not future.cancelled()
    future.withdraw_with(lambda: True)
    assert future.cancel()


def test_a_call_that_ends_while_it_is_withdrawn_is_not_cancelled() -> None:
    """The end comes first, so it counts."""
    future: Future[int] = Future()

    def withdraw() -> bool:
        future.resolve(1)
        return True

    future.withdraw_with(withdraw)
    assert not future.cancel()
    assert future.result() == 1


def test_a_call_that_ends_while_a_caller_looks_is_not_cancelled() -> None:
    """The caller's `cancel` comes too late. A second `cancel` returns what the first one did."""
    future: Future[int] = Future("f")
    future.add_done_callback(lambda _: None)
    future.withdraw_with(lambda: bool(future.resolve(3)) or True)
    assert not future.cancel()
    assert future.result() == 3
    other: Future[int] = Future("g")
    other.add_done_callback(lambda _: None)
    assert other._cancel()
    assert other._cancel()


def test_waiters_hear_of_a_cancellation() -> None:
    """`wait` and `as_completed` do not hang."""
    future: Future[int] = Future()
    future.cancel()
    assert concurrent.futures.wait([future], timeout=10).done == {future}
    assert list(concurrent.futures.as_completed([future], timeout=10)) == [future]


def test_cancelling_the_awaiting_task_cancels_the_call() -> None:
    """No task waits for it any more."""
    future: Future[int] = Future()

    async def main() -> None:
        task = asyncio.ensure_future(asyncio.wrap_future(future))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert future.cancelled()
