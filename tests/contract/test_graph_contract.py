"""Calls that feed calls, over each engine."""

import asyncio
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distribute_challenge import ExecutionBackend, Future, compute_this, gather, use_backend
from distribute_challenge.core.never_run import HAS_RUN
from distribute_challenge.errors import CallCancelledError, DependencyError, SerialisationError
from tests.calls import wait_for
from tests.contract.engines import CLUSTERS, RUN_ON_SUBMIT, TIMEOUT
from tests.contract.graphs import Pair, built, graphs, holds

pytestmark = pytest.mark.celery


@compute_this
def add(x: Any, y: Any = 1) -> Any:
    return x + y


@compute_this
def identity(x: Any) -> Any:
    return x


@compute_this
def fail(text: str) -> Any:
    raise ValueError(text)


@compute_this
def count(path: str, value: Any) -> Any:
    with open(path, "a") as file:
        file.write("x")
    return value


@compute_this
def append(items: Any) -> Any:
    items.append(0)
    return len(items)


class Own:
    def __init__(self, value: Any) -> None:
        self.value = value


@compute_this
def own_value(own: Own) -> Any:
    return own.value


def test_futures_and_calls_as_arguments_are_replaced_by_their_values(
    backend: ExecutionBackend,
) -> None:
    future = add(1, 2).submit(backend)
    assert add(future, y=add(3)).compute(backend) == 7
    assert add(future, future).submit(backend).result(TIMEOUT) == 6
    assert future.result() == 3


def test_futures_and_calls_may_be_nested_anywhere_in_the_arguments(
    backend: ExecutionBackend,
) -> None:
    call, future = add(1), add(2).submit(backend)
    given = [call, {"k": (future, 4)}, Pair(future, {"x": [call]})]
    assert identity(given).compute(backend) == [2, {"k": (3, 4)}, Pair(3, {"x": [2]})]
    assert own_value(Own(call)).compute(backend) == 2
    assert identity(lambda: call).submit(backend).result(TIMEOUT)() == 2


def test_an_object_that_is_needed_twice_runs_once(
    backend: ExecutionBackend, tmp_path: Path
) -> None:
    path = tmp_path / "runs"
    once = count(str(path), 1)
    assert add(add(once, 1), add(once, once)).compute(backend) == 4
    assert path.read_text() == "x"


def test_each_call_gets_a_copy_of_its_own(backend: ExecutionBackend) -> None:
    items = identity([1])
    assert identity([append(items), append(items), items]).compute(backend) == [2, 2, [1]]


def test_a_call_runs_again_in_another_compute(backend: ExecutionBackend, tmp_path: Path) -> None:
    path = tmp_path / "runs"
    call = count(str(path), 1)
    assert add(call).compute(backend) == add(call).compute(backend) == 2
    assert path.read_text() == "xx"


def test_a_future_of_another_backend_gives_its_value(backend: ExecutionBackend) -> None:
    assert add(add(1).submit("threads"), 1).compute(backend) == 3
    assert add(add(1).submit(backend), 1).compute("threads") == 3


def test_a_future_that_is_not_done_is_waited_for(
    engine: tuple[str, ExecutionBackend], tmp_path: Path
) -> None:
    name, backend = engine
    door = tmp_path / "door"
    first = wait_for(str(door)).submit("threads")
    opening = threading.Timer(0.2, door.touch)
    opening.start()
    second = identity([first]).submit(backend)
    assert second.done() is (name in RUN_ON_SUBMIT)
    assert len(second.result(TIMEOUT)) == 1
    opening.join()


def test_a_call_whose_need_failed_does_not_begin(backend: ExecutionBackend, tmp_path: Path) -> None:
    """It fails with the same exception, and a note that names the way."""
    path = tmp_path / "runs"
    for broken in (fail("no luck"), fail("no luck").submit(backend)):
        with pytest.raises(ValueError, match="no luck") as caught:
            count(str(path), broken).compute(backend)
        # Engines that keep the task of a call show its arguments.
        assert re.search(
            rf"count\('{path}', fail.*\) needed fail", "\n".join(caught.value.__notes__)
        )
    assert not path.exists()


def test_the_notes_of_an_error_name_each_call_between_cause_and_caller(
    backend: ExecutionBackend,
) -> None:
    with pytest.raises(ValueError, match="no luck") as caught:
        add(add(fail("no luck"))).compute(backend)
    notes = [note for note in caught.value.__notes__ if " needed " in note]
    assert notes == ["add(fail('no luck')) needed fail('no luck')", "add(add(...)) needed add(...)"]


def test_calls_that_share_a_failed_input_each_raise_with_their_own_note(
    backend: ExecutionBackend,
) -> None:
    broken = fail("no luck").submit(backend)
    first, second = (
        identity([broken, number]).submit(backend).exception(TIMEOUT) for number in (1, 2)
    )
    assert first is not None
    assert second is not None
    assert first.__notes__[-1].startswith("identity([fail")
    assert "1]" in first.__notes__[-1]
    assert "2]" in second.__notes__[-1]


def test_a_call_that_needs_a_cancelled_one_is_cancelled(
    background: ExecutionBackend, tmp_path: Path
) -> None:
    first = wait_for(str(tmp_path / "door")).submit(background)
    second = add(first).submit(background)
    assert first.cancel(force=True)
    with pytest.raises(CallCancelledError, match=r"add\(wait_for.* needed wait_for.*was cancelled"):
        second.result(TIMEOUT)
    assert second.cancelled()
    with pytest.raises(CallCancelledError, match="which was cancelled"):
        add(first).compute(background)


def test_cancelling_a_call_cancels_inputs_that_only_it_needs(
    background: ExecutionBackend, tmp_path: Path
) -> None:
    """Not what the program holds, or another call needs."""
    door, path = tmp_path / "door", tmp_path / "runs"
    held = wait_for(str(door)).submit(background)
    # With other options than those of the calls that they need: they travel in no message with them.
    counted = count.with_options(timeout=1000)(str(path), wait_for(str(door)))
    future = identity.with_options(timeout=1001)([held, counted]).submit(background)
    assert not future.running()
    assert future.logs() == []
    assert future.cancel()
    assert future.cancelled()
    door.touch()
    held.result(TIMEOUT)
    assert add(1).compute(background) == 2
    assert not path.exists()


def test_a_call_that_runs_is_stopped_by_force(
    background: ExecutionBackend, tmp_path: Path, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    begun = tmp_path / "begun"

    @compute_this
    def sleep(path: str, _: Any) -> None:
        import time

        open(path, "w").close()
        while True:
            time.sleep(0.01)

    future = sleep(str(begun), add(1)).submit(background)
    eventually(begun.exists)
    assert not future.cancel()
    assert future.cancel(force=True)
    assert add(1).submit(background).result(TIMEOUT) == 2


def test_a_call_that_needs_its_own_result_is_refused(backend: ExecutionBackend) -> None:
    items: list[Any] = []
    call = identity(items)
    items.append(call)
    with pytest.raises(DependencyError, match="identity needs its own result"):
        call.compute(backend)
    between: list[Any] = []
    outer = identity(identity(between))
    between.append(outer)
    with pytest.raises(DependencyError, match="needs its own result"):
        outer.submit(backend)


def test_an_argument_that_cannot_be_pickled_is_refused_at_the_callers_line(
    backend: ExecutionBackend,
) -> None:
    with pytest.raises(SerialisationError, match="argument 1 of identity"):
        add(add(1), identity(threading.Lock())).submit(backend)


@pytest.mark.slow
def test_a_chain_longer_than_the_stack_of_python_runs(engine: tuple[str, ExecutionBackend]) -> None:
    """It is longer than Python's stack."""
    name, backend = engine
    if name in {*CLUSTERS, "only-run"}:
        pytest.skip("each of its calls takes milliseconds; the graph is the same on every engine")
    call = add(0)
    for _ in range(1500):
        call = add(call)
    assert call.compute(backend) == 1501
    broken = fail("no luck")
    for _ in range(1500):
        broken = add(broken)
    with pytest.raises(ValueError, match="no luck") as caught:
        broken.compute(backend)
    assert sum(" needed " in note for note in caught.value.__notes__) == 10
    assert "add(...)" in repr(broken)


def test_maps_take_futures_and_calls(backend: ExecutionBackend, tmp_path: Path) -> None:
    path = tmp_path / "runs"
    shared = count(str(path), 5)
    futures = [add(number).submit(backend) for number in range(20)]
    assert list(add.map(futures, backend=backend)) == list(range(2, 22))
    assert list(add.map([shared, 1, shared, futures[0]], backend=backend)) == [6, 2, 6, 2]
    assert list(add.starmap([(futures[0], futures[1])], backend=backend)) == [3]
    assert path.read_text() == "x"
    calls = (add(number) for number in range(20))  # Which the program does not keep.
    assert list(add.map(calls, backend=backend, batch_size=1)) == list(range(2, 22))
    outcomes = add.map([fail("no"), 1, fail("no")], backend=backend, on_error="return")
    assert [type(outcome) for outcome in outcomes] == [ValueError, int, ValueError]


def test_an_input_of_a_failed_call_is_still_given_to_other_calls(backend: ExecutionBackend) -> None:
    """Also of calls that are submitted when the first has failed."""
    broken, shared = fail("no luck").submit(backend), add(1)
    broken.exception(TIMEOUT)
    error, value = gather(add(broken, shared), add(shared), return_exceptions=True, backend=backend)
    assert (type(error), value) == (ValueError, 3)
    error, value = identity.map(
        [[broken, shared], [shared]], backend=backend, batch_size=1, on_error="return"
    )
    assert (type(error), value) == (ValueError, [2])


def test_an_item_with_a_call_that_cannot_be_pickled_fails_alone(backend: ExecutionBackend) -> None:
    items = [add(1), add(threading.Lock()), add(2)]
    outcomes = list(identity.map(items, backend=backend, on_error="return"))
    assert outcomes[::2] == [2, 3]
    assert isinstance(outcomes[1], SerialisationError)


def test_large_values_are_passed_from_call_to_call(backend: ExecutionBackend) -> None:
    array = numpy.arange(100_000)
    future = identity(array).submit(backend)
    totals = [add(add(future, number), future) for number in range(3)]
    found = gather(totals, backend=backend)
    assert all((found[number] == 2 * array + number).all() for number in range(3))
    assert list(add.map([array, future], backend=backend))[1][-1] == 100_000
    first, second = add.map([array, add(1)], backend=backend, batch_size=2)
    assert (first[0], second) == (1, 3)


def test_many_small_values_that_are_large_together_are_passed_to_a_call(
    backend: ExecutionBackend,
) -> None:
    """None of them is large by itself."""
    futures = [identity("x" * 10_000).submit(backend) for _ in range(30)]
    array = numpy.arange(100_000)
    found = identity([futures, array, add(array)]).compute(backend)
    assert found[0] == ["x" * 10_000] * 30
    assert (found[1] + 1 == found[2]).all()


def test_values_of_a_users_own_class_pass_on(backend: ExecutionBackend) -> None:
    """Their class travels to the worker that needs it."""

    class Local:
        def __init__(self, x: int) -> None:
            self.x = x

        def __add__(self, other: int) -> int:
            return self.x + other

    @compute_this
    def make(x: int) -> Any:
        return Local(x)

    assert add(make(3), 4).compute(backend) == 7


def test_a_graph_can_be_awaited(backend: ExecutionBackend) -> None:
    async def main() -> Any:
        with use_backend(backend):
            return await add(add(1), add(2))

    assert asyncio.run(main()) == 5


def test_a_graph_inside_a_call_runs_there(backend: ExecutionBackend) -> None:
    @compute_this
    def outer() -> Any:
        return add(add(1), add(2)).compute()

    assert outer().compute(backend) == 5


def test_a_timeout_cancels_the_whole_graph(background: ExecutionBackend, tmp_path: Path) -> None:
    # With other options than the call that it needs, so that no message has both.
    last = add.with_options(timeout=1000)
    with pytest.raises(TimeoutError, match="was cancelled"):
        last(wait_for(str(tmp_path / "door")), 1).compute(background, timeout=0.2)
    (tmp_path / "door").touch()


@compute_this
def node(kind: str, argument: Any) -> Any:
    if kind == "fail":
        raise ValueError("node")
    return [argument]


@pytest.mark.slow
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(plan=graphs(), as_futures=st.integers(0, 127))
def test_any_graph_gives_what_plain_calls_give(
    backend: ExecutionBackend, plan: list[Any], as_futures: int
) -> None:
    """With shared and failing nodes, some of them as calls and some as futures."""
    values: list[Any] = []
    things: list[Any] = []
    failed: set[int] = set()
    for number, (kind, argument) in enumerate(plan):
        call = node(kind, built(argument, things))
        things.append(call.submit(backend) if as_futures >> number & 1 else call)
        if kind == "fail" or holds(argument, failed):
            failed.add(number)
        values.append([built(argument, values)])
    last = things[-1]
    future: Future[Any] = last if isinstance(last, Future) else last.submit(backend)
    if len(plan) - 1 in failed:
        assert isinstance(future.exception(TIMEOUT), ValueError)
    else:
        assert future.result(TIMEOUT) == values[-1]
    for thing in things:
        if not isinstance(thing, Future):
            thing.at_deletion = HAS_RUN  # No warning of a call that no other one needed.


def test_a_result_given_to_a_call_equals_the_result_of_the_future(
    backend: ExecutionBackend,
) -> None:
    first = identity([os.getpid()]).submit(backend)
    assert first.result(TIMEOUT) is first.result(TIMEOUT)
    assert identity(first).compute(backend) == first.result()
