"""What becomes of a call between its inputs and its engine."""

import threading
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy
import pytest

from distribute_challenge import Future, compute_this, default_backend, use_backend
from distribute_challenge.core.following import Follower
from distribute_challenge.core.log_lines import LogLine
from distribute_challenge.core.messages import Task
from distribute_challenge.errors import CallCancelledError, SerialisationError
from distribute_challenge.execution_backends.base import ExecutionBackend
from tests.forks import ended, fork


class Engine(ExecutionBackend):
    """Keeps the futures of what it gets, for the test to end."""

    concurrency = 1

    def __init__(self) -> None:
        self.futures: list[Future[Any]] = []
        self.error: BaseException | None = None
        self.on_submit: Callable[[], object] = lambda: None

    def submit(self, task: Task) -> Future[Any]:
        self.on_submit()
        if self.error is not None:
            raise self.error
        self.futures.append(Future(task.function.name))
        return self.futures[-1]


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine()
    with use_backend(engine):
        yield engine


@compute_this
def add(x: Any, y: Any = 1) -> Any:
    return x + y


Eventually = Callable[[Callable[[], bool]], None]


def test_a_call_that_has_waited_takes_little_memory(engine: Engine) -> None:
    """It has no dictionary of its own, even if many were made before the first was done."""
    needed = add(1).submit()
    add(needed).submit()  # The first one makes what all share.
    tracemalloc.start()
    try:
        futures = [add(needed, number).submit() for number in range(1_000)]
        for future in futures:
            future.resolve(1)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size / len(futures) < 850  # Bytes; with a dictionary 1,030.


def test_lines_of_a_call_that_has_waited_are_kept_after_its_end(
    engine: Engine, eventually: Eventually
) -> None:
    future = add(add(1)).submit()
    engine.futures[0].resolve(2)
    eventually(lambda: len(engine.futures) == 2)
    inner = engine.futures[1]
    line = LogLine("stdout", "added", 1.5)
    inner.add_log(line)
    assert future.logs() == [line]
    inner.resolve(3)
    assert (future.result(60), future.logs()) == (3, [line])


def test_a_call_is_submitted_to_its_engine_when_its_last_input_is_ready(
    engine: Engine, eventually: Eventually
) -> None:
    future = add(add(1), add(2)).submit()
    first, second = engine.futures
    first.resolve(2)
    assert not future.running()
    assert repr(future) == "<Future add(add(1), add(2)) waiting for 1 of 2 calls>"
    second.resolve(3)
    eventually(lambda: len(engine.futures) == 3)
    engine.futures[2].running_with(lambda: True)
    eventually(future.running)
    assert repr(future) == "<Future add(add(1), add(2)) running>"
    engine.futures[2].resolve(5)
    assert future.result(60) == 5
    assert future.logs() == []
    assert future.call_text() == "add"


def test_cancelling_a_call_cancels_inputs_that_only_its_graph_needs(engine: Engine) -> None:
    """A chain goes as a whole."""
    shared = add(add(add(1)))
    future = add(shared, add(shared)).submit()
    assert future.cancel()
    assert [each.cancelled() for each in engine.futures] == [True]


def test_a_failed_input_cancels_the_other_inputs_of_the_call(
    engine: Engine, eventually: Eventually
) -> None:
    future = add(add(1), add(2)).submit()
    first, second = engine.futures
    second.fail(ValueError("no luck"))
    assert isinstance(future.exception(60), ValueError)
    eventually(first.cancelled)
    first.resolve(1)
    assert len(engine.futures) == 2


def test_both_inputs_may_fail(engine: Engine, eventually: Eventually) -> None:
    held = [add(1).submit(), add(2).submit()]
    future = add(*held).submit()
    for each in held:
        each.fail(ValueError("no luck"))
    assert isinstance(future.exception(60), ValueError)


@pytest.mark.parametrize("error", [RuntimeError("closed"), KeyboardInterrupt()])
def test_an_exception_that_the_engine_raises_on_submit_is_the_calls_error(
    engine: Engine, error: BaseException
) -> None:
    first = add(1).submit()
    engine.futures[0].resolve([2])
    engine.error = error
    if isinstance(error, Exception):
        assert add(first).submit().exception(60) is error
    else:
        with pytest.raises(KeyboardInterrupt):
            add(first).submit()


def test_a_value_that_cannot_be_pickled_is_the_calls_error(engine: Engine) -> None:
    first = add(1).submit()
    engine.futures[0].resolve(threading.Lock())
    error = add(first).submit().exception(60)
    assert isinstance(error, SerialisationError)
    assert "the result of add" in str(error)


def test_a_call_cancelled_while_it_is_submitted_is_cancelled_by_the_engine(engine: Engine) -> None:
    first = add(1).submit()
    future = add(first, add(2)).submit()
    engine.on_submit = lambda: future.cancel(force=True)
    engine.futures[1].resolve(3)
    engine.futures[0].resolve(2)
    with pytest.raises(CallCancelledError):
        future.result(60)


def test_a_submitted_call_ends_like_the_future_of_its_engine(
    engine: Engine, eventually: Eventually
) -> None:
    first = add(1).submit()
    engine.futures[0].resolve(2)
    futures = [add(first).submit() for _ in range(3)]
    _, one, two, three = engine.futures
    assert not futures[0].cancelled()
    one.cancel()
    assert futures[0].cancelled()
    two.fail(ValueError("no luck"))
    assert isinstance(futures[1].exception(60), ValueError)
    three.withdraw_with(lambda: False)
    three.stop_with(lambda: None)
    assert not futures[2].cancel()
    assert futures[2].cancel(force=True)
    assert three.cancelled()


class Out(NamedTuple):
    """A call that an engine has taken to send it with the call that it needs."""

    future: Future[Any]
    needed: Future[Any]
    follower: Follower
    inner: Future[Any]


@pytest.fixture
def out(engine: Engine) -> Out:
    engine.sender = engine
    future = add(add(1)).submit()
    (needed,) = engine.futures
    (follower,) = needed.listeners()
    assert follower.missing == 1
    assert follower.task_to_follow(object()) is None
    assert follower.task_to_follow(engine) is not None
    assert follower.follow({}) is None
    assert follower.follow({id(needed): 0}) is not None
    assert follower.follow({id(needed): 0}) is None
    inner: Future[Any] = Future()
    follower.sent(inner)
    assert follower.stands_for(inner)
    return Out(future, needed, follower, inner)


def test_a_call_that_shares_a_message_with_its_input_is_not_submitted_again(
    out: Out, engine: Engine
) -> None:
    """It does not go to the engine again."""
    out.needed.resolve(2)
    out.inner.resolve(3)
    assert out.future.result(10) == 3
    assert len(engine.futures) == 1


@pytest.mark.parametrize("before", [False, True])
def test_a_call_that_was_given_back_is_submitted_when_its_input_is_ready(
    out: Out, engine: Engine, eventually: Eventually, before: bool
) -> None:
    if before:
        out.needed.resolve(2)
    out.follower.give_back(out.inner, ())
    assert out.inner.cancelled()
    assert not out.future.done()
    out.needed.resolve(2)
    eventually(lambda: len(engine.futures) == 2)
    engine.futures[1].resolve(3)
    assert out.future.result(10) == 3


def test_a_call_that_is_given_back_fails_with_its_input(out: Out) -> None:
    out.needed.fail(ValueError("no"))
    assert not out.future.done()
    out.follower.give_back(out.inner, ())
    error = out.future.exception(10)
    assert isinstance(error, ValueError)
    assert error.__notes__ == ["add(add(1)) needed add(1)"]


def test_a_cancelled_call_that_was_given_back_is_not_submitted_again(
    out: Out, engine: Engine
) -> None:
    assert out.future.cancel(force=True)
    out.follower.give_back(out.inner, ())
    out.needed.resolve(2)
    assert out.future.cancelled()
    assert len(engine.futures) == 1


def test_a_child_of_a_fork_has_threads_of_its_own() -> None:
    with use_backend("threads"):
        assert add(add(1)).compute() == 3

        def work() -> bool:
            return bool(add(add(1), add(2)).compute(timeout=60) != 5)

        assert ended(fork(work)) == 0


@pytest.mark.slow
def test_large_values_of_ended_cancelled_and_failed_calls_are_released(
    eventually: Eventually,
) -> None:
    """Neither those of a call that ended, nor of one that was cancelled or failed."""
    array = numpy.zeros(100_000)
    with use_backend("celery"):
        depot = default_backend().depot()
        assert depot is not None
        future = add(array).submit()
        assert add(future, array).compute()[0] == 1
        add(add(array), array).submit().cancel(force=True)
        with pytest.raises(ZeroDivisionError):
            add(compute_this(lambda: 1 // 0)(), array).compute()
        del future

        def unused() -> bool:
            depot.sweep(1e9)
            return not any(value.users for value in depot._record.values.values())

        eventually(unused)
