"""What a map does when a chunk, a call, an item or its source fails."""

import itertools
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from distribute_challenge import compute_this
from distribute_challenge.core.batching import window
from distribute_challenge.errors import (
    BrokerUnreachableError,
    CallCancelledError,
    OptionError,
    SerialisationError,
    WorkerLostError,
)
from tests.maps import Automatic, ByHand, double, invert


def stop(x: int) -> int:
    if x == 2:
        raise StopIteration
    return x


@pytest.mark.parametrize("error", [WorkerLostError("died"), SerialisationError("not this one")])
def test_a_chunk_that_fails_as_a_whole_is_sent_again_call_by_call(error: Exception) -> None:
    """Only the call that is to blame fails."""
    backend = Automatic(lambda numbers: error if 7 in numbers else None)
    results = list(double.map(range(12), batch_size=4, on_error="return", backend=backend))
    assert [number for number, result in enumerate(results) if result is error] == [7]
    assert [result for result in results if result is not error] == [
        2 * number for number in range(12) if number != 7
    ]
    assert backend.sizes.count(1) == 4


def test_a_lost_worker_is_raised_by_a_map_after_the_results_before_it() -> None:
    """It is raised after the results before it."""
    backend = Automatic(lambda numbers: WorkerLostError("died") if 2 in numbers else None)
    results = double.map(range(4), batch_size=4, backend=backend)
    assert [next(results), next(results)] == [0, 2]
    with pytest.raises(WorkerLostError):
        next(results)


def test_a_failure_of_the_system_ends_the_map() -> None:
    """It does so where errors are returned, too: nothing more would come."""
    backend = Automatic(lambda numbers: BrokerUnreachableError("gone"))
    with pytest.raises(BrokerUnreachableError):
        list(double.map(range(4), on_error="return", backend=backend))


def test_an_error_of_the_chunk_stands_for_each_of_its_calls() -> None:
    """It does so where no call has an outcome of its own."""
    backend = Automatic(lambda numbers: ValueError("all") if 0 in numbers else None)
    results = list(double.map(range(4), batch_size=2, on_error="return", backend=backend))
    assert [str(result) for result in results] == ["all", "all", "4", "6"]


@pytest.mark.parametrize("ordered", [True, False])
def test_an_exception_says_which_item_it_is_of(ordered: bool) -> None:
    """Its chunk may be cut, and its calls sent again, any number of times."""
    error = WorkerLostError("died")

    def end(numbers: list[int]) -> Any:
        return error if 7 in numbers and len(numbers) < 4 else 1 if len(numbers) > 2 else None

    results = list(
        double.map(
            range(20), ordered=ordered, batch_size=5, on_error="return", backend=Automatic(end)
        )
    )
    assert results.count(error) == 1
    assert error.__notes__ == ["item 7: double(7)"]
    whole = ValueError("all")
    list(
        double.map(
            range(9, 13), batch_size=2, on_error="return", backend=Automatic(lambda numbers: whole)
        )
    )
    assert whole.__notes__ == ["items 0 to 1 of double", "items 2 to 3 of double"]


def test_a_cancelled_chunk_ends_the_map() -> None:
    """Its backend was closed, and is not woken by what has not been sent."""
    backend = ByHand()
    backend.concurrency = 1
    results = double.map(range(400), batch_size=4, backend=backend)
    threading.Thread(target=lambda: _cancel_first(backend)).start()
    with pytest.raises(CallCancelledError):
        next(results)
    assert len(backend.waiting) == window(1)


def _cancel_first(backend: ByHand) -> None:
    pause = threading.Event()
    while not backend.waiting:
        pause.wait(0.001)
    backend.waiting[0][1].cancel()


def test_the_first_exception_is_raised_after_the_results_before_it() -> None:
    """It ends the map."""
    results = invert.map([1, 2, 0, 4], batch_size=4, backend="local")
    assert [next(results), next(results)] == [1.0, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(results) == []


def test_exceptions_take_the_place_of_values_if_asked() -> None:
    """All others come, wherever in its message a call fails."""
    for numbers in itertools.product((0, 4), repeat=3):
        results = list(invert.map(numbers, batch_size=3, on_error="return", backend="local"))
        assert [result == 0.25 or type(result) for result in results] == [
            True if number else ZeroDivisionError for number in numbers
        ]


def test_a_stop_iteration_of_the_user_s_code_does_not_end_the_map_silently() -> None:
    """It is an error like any other."""
    function = compute_this(stop)
    results = function.map(range(5), batch_size=5, backend="local")
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(RuntimeError) as caught:
        next(results)
    assert isinstance(caught.value.__cause__, StopIteration)
    returned = list(function.map(range(5), batch_size=5, on_error="return", backend="local"))
    assert [type(result).__name__ for result in returned] == [
        "int",
        "int",
        "StopIteration",
        "int",
        "int",
    ]


def test_an_item_that_cannot_be_pickled_fails_only_its_own_call() -> None:
    """Its chunk is sent call by call."""
    items: list[Any] = [1, threading.Lock(), 3]
    results = list(compute_this(str).map(items, batch_size=3, on_error="return", backend="local"))
    assert (results[0], results[2]) == ("1", "3")
    assert isinstance(results[1], SerialisationError)


def test_an_exception_of_the_source_comes_through() -> None:
    """It is the user's own."""

    def source() -> Iterator[int]:
        yield 1
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        list(double.map(source(), backend="local"))


def test_an_invalid_value_of_on_error_is_refused() -> None:
    """The error comes at the line of the map."""
    with pytest.raises(OptionError, match="on_error='ignore': expected 'raise' or 'return'"):
        double.map([1], on_error="ignore", backend="local")  # type: ignore[call-overload]


def test_a_function_that_cannot_be_pickled_is_named_at_the_line_of_the_map() -> None:
    """The error does not wait for the first result."""
    lock = threading.Lock()

    def holds(x: int) -> Any:
        return lock

    with pytest.raises(SerialisationError, match="closure variable 'lock'"):
        compute_this(holds).map([1], backend="local")


def test_an_exception_of_the_source_is_raised_after_the_results_before_it() -> None:
    """None of them is lost, although they travel in one chunk with the error."""

    def source() -> Iterator[int]:
        yield from range(5)
        raise KeyError("source")

    results = compute_this(lambda x: x * x, backend="threads").map(source(), batch_size=100)
    assert [next(results) for _ in range(5)] == [0, 1, 4, 9, 16]
    with pytest.raises(KeyError, match="source"):
        next(results)
