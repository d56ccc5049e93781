"""Objects that only have ``run``."""

import pickle
from collections.abc import Mapping
from typing import Any

import pytest

from distribute_challenge import compute_this
from distribute_challenge.execution_backends import run_adapter
from distribute_challenge.execution_backends.local import LocalExecutionBackend
from distribute_challenge.execution_backends.run_adapter import RunAdapter, SupportsRun


class OnlyRun:
    def __init__(self) -> None:
        self.seen: list[tuple[tuple[Any, ...], Mapping[str, Any]]] = []

    def run(self, serialised_func: bytes, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        self.seen.append((args, kwargs))
        return pickle.loads(serialised_func)(*args, **kwargs)


@compute_this
def add(x: int, y: int = 1) -> int:
    return x + y


def test_an_object_with_a_run_method_can_be_used_as_a_backend() -> None:
    """It gets bytes, arguments and keyword arguments."""
    runner = OnlyRun()
    assert isinstance(runner, SupportsRun)
    assert add(1, y=5).compute(runner) == 6
    assert runner.seen == [((1,), {"y": 5})]


def test_a_map_calls_run_for_each_item() -> None:
    """The map has failures in their places."""
    runner = OnlyRun()
    results = list(add.map([1, "a", 3], on_error="return", backend=runner))
    assert results[::2] == [2, 4]
    assert isinstance(results[1], TypeError)
    assert len(runner.seen) == 3


def test_a_slow_run_gives_the_rest_of_its_chunk_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The map sends it again."""
    monkeypatch.setattr(run_adapter, "GIVE_BACK_AFTER", -1.0)
    assert list(add.map(range(5), batch_size=5, backend=OnlyRun())) == [1, 2, 3, 4, 5]


def test_an_exception_of_the_run_method_is_the_exception_of_the_call() -> None:
    """Whether the function raised it or the object."""

    class Broken:
        def run(
            self, serialised_func: bytes, args: tuple[Any, ...], kwargs: Mapping[str, Any]
        ) -> Any:
            raise OSError("no machine")

    future = add(1).submit(Broken())
    assert isinstance(future.exception(), OSError)
    assert isinstance(RunAdapter(Broken()).submit(add(1)._task()).exception(), OSError)


def test_an_object_with_run_may_hand_over_to_another_backend() -> None:
    """What it is given is an ordinary callable."""

    class Delegating:
        def run(
            self, serialised_func: bytes, args: tuple[Any, ...], kwargs: Mapping[str, Any]
        ) -> Any:
            with LocalExecutionBackend() as other:
                return other.run(serialised_func, args, kwargs)

    assert add(1, y=2).compute(Delegating()) == 3
