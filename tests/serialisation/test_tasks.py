"""From a function and its arguments to what an engine takes."""

import threading
import time
from typing import Any

import pytest

from distribute_challenge import Future
from distribute_challenge.core.options import CallOptions
from distribute_challenge.errors import SerialisationError
from distribute_challenge.serialisation import PortableFunction, loads, unpack_function
from distribute_challenge.serialisation.tasks import packed_chunk, single_task

OPTIONS = CallOptions(retries=1)


class Thing:
    pass


def portable() -> PortableFunction:
    return PortableFunction(len, "f", ())


def test_a_task_holds_function_arguments_options_and_time() -> None:
    """It is a task of one call."""
    before = time.time()
    task = single_task(portable(), "f", (1, "a"), {"k": None}, OPTIONS)
    assert loads(task.arguments) == ((1, "a"), {"k": None})
    assert (task.function.name, task.options, task.chunk, task.calls) == ("f", OPTIONS, 0, 1)
    assert before <= task.created <= time.time()


def test_the_modules_of_an_argument_travel_with_the_function() -> None:
    """The worker needs them to unpickle it."""
    task = single_task(portable(), "f", (Thing(),), {}, OPTIONS)
    assert __name__ in [module.name for module in unpack_function(task.function.payload).modules]
    assert isinstance(loads(task.arguments)[0][0], Thing)


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [
        ((1, threading.Lock()), {}, "argument 2 of f cannot be pickled"),
        ((1,), {"key": [threading.Lock()]}, r"argument 'key' of f\[0\] \(a lock\)"),
    ],
)
def test_the_error_names_the_argument_that_cannot_be_pickled(
    args: tuple[Any, ...], kwargs: dict[str, Any], words: str
) -> None:
    """The error gives its position or keyword."""
    with pytest.raises(SerialisationError, match=words):
        single_task(portable(), "f", args, kwargs, OPTIONS)


def ended(value: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.resolve(value)
    return future


@pytest.mark.parametrize("value", [1, 1.5, True, None, "a" * 1000, b"a"])
def test_a_future_with_a_small_value_is_replaced_by_its_value(value: Any) -> None:
    """Then nothing is left to wait for."""
    task = single_task(portable(), "f", (ended(value), 2), {}, OPTIONS)
    assert loads(task.arguments) == ((value, 2), {})
    assert task.needs == ()
    assert task.is_next


def test_futures_in_a_list_are_replaced_by_their_values() -> None:
    """A list that is given twice stays one list, and the caller's is not changed."""
    numbers = [ended(1), ended(2)]
    task = single_task(portable(), "f", (numbers, numbers, [3]), {}, OPTIONS)
    (first, second, third), _ = loads(task.arguments)
    assert first == [1, 2]
    assert second is first
    assert third == [3]
    assert all(type(number) is Future for number in numbers)


def failed() -> Future[Any]:
    future: Future[Any] = Future()
    future.fail(ValueError())
    return future


@pytest.mark.parametrize(
    "future", [Future(), failed(), ended([1]), ended("a" * 1001)], ids=["open", "failed", "l", "s"]
)
def test_a_future_without_a_small_value_becomes_a_need_of_the_task(future: Future[Any]) -> None:
    for argument in (future, [ended(1), future]):
        task = single_task(portable(), "f", (argument, ended(1)), {}, OPTIONS)
        assert task.needs == (future,)
        assert not task.is_next


class OnlyAlone:
    """Can be pickled once, and never again."""

    def __init__(self) -> None:
        self.calls = 0

    def __reduce__(self) -> Any:
        self.calls += 1
        if self.calls < 3:
            raise ValueError("not in company")
        return Thing, ()


def test_arguments_that_fail_only_together_are_blamed_together() -> None:
    """The error names the whole call, as no single argument fails."""
    with pytest.raises(SerialisationError, match="a call of f cannot be pickled"):
        single_task(portable(), "f", (OnlyAlone(),), {}, OPTIONS)
    with pytest.raises(SerialisationError, match="a call of f cannot be pickled"):
        packed_chunk("f", [(OnlyAlone(),)])


def test_a_chunk_is_the_list_of_its_calls_arguments() -> None:
    """It has the modules that they need."""
    assert loads(packed_chunk("f", [(1,), (2,)]).data) == [(1,), (2,)]
    assert packed_chunk("f", [(1,)]).modules == frozenset()
    assert __name__ in packed_chunk("f", [(Thing(),)]).modules


def test_the_call_to_blame_in_a_chunk_is_named() -> None:
    """The error names its argument."""
    with pytest.raises(SerialisationError, match="argument 2 of f cannot be pickled"):
        packed_chunk("f", [(1, 2), (1, threading.Lock())])
