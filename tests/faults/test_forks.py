"""Programs that fork while their other threads use futures: no child gets a locked lock."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import contextmanager

import pytest

from distribute_challenge import Future, attach, compute_this, put
from distribute_challenge.errors import ResultUnavailableError
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.execution_backends.pools import (
    ProcessesExecutionBackend,
    ThreadsExecutionBackend,
)
from tests.faults.conftest import Make
from tests.forks import ended, fork

pytestmark = pytest.mark.slow

CHILDREN = 10
CALLING = 2  # More of them, which make calls, too.
DEADLINE = 60.0  # Seconds for a call of a child: they wait for each other's.


@compute_this
def square(number: int) -> int:
    return number * number


@compute_this
def nap() -> None:
    for _ in range(600):
        time.sleep(0.1)  # A thread is stopped between two lines.


@pytest.fixture(params=["celery", "threads", "processes"])
def backend(request: pytest.FixtureRequest, make: Make) -> Iterator[ExecutionBackend]:
    if request.param == "celery":
        yield make(workers=1, processes=2)[1]
        return
    kind = ThreadsExecutionBackend if request.param == "threads" else ProcessesExecutionBackend
    with kind(2) as pool:
        yield pool


@contextmanager
def threads(*works: Callable[[], object]) -> Iterator[None]:
    """Have threads do each of these over and over."""
    over = threading.Event()

    def repeat(work: Callable[[], object]) -> None:
        while not over.wait(0.001):  # Else the thread that forks would hardly get its turn.
            work()

    running = [threading.Thread(target=repeat, args=(work,)) for work in works]
    for thread in running:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in running:
            thread.join()


def test_forked_children_make_their_own_client_whatever_other_threads_do(
    backend: ExecutionBackend,
) -> None:
    """All verbs work in each child, and what its parent had is there or ends in an error."""
    has_redis = not isinstance(backend, ThreadsExecutionBackend | ProcessesExecutionBackend)
    value = put([1, 2], backend)
    large = put(bytearray(200_000), backend)
    pending = nap().submit(backend)
    done = square(3).submit(backend)
    assert done.result(60) == 9
    looked_at: Future[int] = Future("looked at")

    def look() -> None:
        future: Future[int] = Future()
        called = threading.Event()
        with looked_at._condition:
            future.add_done_callback(lambda _: called.set())
        future.resolve(1)
        assert called.wait(60)

    def child() -> None:
        assert done.result(1) == 9
        seen: list[int] = []
        done.add_done_callback(lambda future: seen.append(future.result()))
        assert seen == [9]
        for future in pending, looked_at:
            assert not future.running()
            assert not future.cancel(force=True)
            assert isinstance(future.exception(1), ResultUnavailableError)
            assert wait([future], 1).done

    def child_with_calls() -> None:
        child()
        assert square(4).compute(backend, timeout=DEADLINE) == 16
        called = threading.Event()
        own = square(5).submit(backend)
        own.add_done_callback(lambda _: called.set())
        assert own.result(DEADLINE) == 25
        assert called.wait(DEADLINE)
        assert list(square.map(range(3), backend=backend)) == [0, 1, 4]
        assert compute_this(sum)(value).compute(backend, timeout=DEADLINE) == 3
        nap().submit(backend).cancel(force=True)
        if has_redis:
            detached = square(6).submit(backend, detach=True)
            assert attach(detached.id, backend).result(DEADLINE) == 36

    with threads(
        look,
        look,
        lambda: square(2).submit(backend).result(60),
        lambda: put(bytearray(200_000), backend),
    ):
        for work, count in ((child, CHILDREN), (child_with_calls, CALLING)):
            children = [fork(work) for _ in range(count)]
            assert [*map(ended, children)] == [0] * count
    assert pending.cancel(force=True)
    assert compute_this(len)(large).compute(backend, timeout=60) == 200_000


def test_a_map_that_the_parent_began_ends_in_the_child_with_an_error() -> None:
    """It may have some results more, which came before."""
    with ThreadsExecutionBackend(1) as backend:
        results = compute_this(lambda seconds: time.sleep(seconds) or 1).map(
            itertools.chain([0.0], itertools.repeat(0.1, 20)), backend=backend, batch_size=1
        )
        assert next(results) == 1

        def child() -> None:
            with pytest.raises(
                ResultUnavailableError, match="begun by the process that this one was forked from"
            ):
                list(results)

        assert ended(fork(child)) == 0
        assert sum(results) == 20
