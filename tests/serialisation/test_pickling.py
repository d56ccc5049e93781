"""Values to bytes and back."""

import functools
import sys
import threading
import traceback
import types
import weakref
from typing import Any, NamedTuple

import pytest

from distribute_challenge import compute_this
from distribute_challenge.errors import SerialisationError
from distribute_challenge.serialisation import dumps, dumps_plain, loads
from tests.elsewhere import Elsewhere


class Point(NamedTuple):
    x: int
    y: int


def plus_one(x: int) -> int:
    return x + 1


@functools.lru_cache
def cached(x: int) -> int:
    return x


@compute_this
def distributed(x: int) -> int:
    return x


def test_built_in_values_are_pickled_by_the_plain_pickler() -> None:
    """Whatever containers they are in."""
    value = [1, 2.5, "a", b"b", None, True, (1, {2}), {"k": [frozenset([3])]}]
    data = dumps_plain(value)
    assert data is not None
    assert loads(data) == value
    assert dumps(value, "it") == (data, frozenset())


@pytest.mark.parametrize(
    "value", [lambda: 1, object(), Point(1, 2), plus_one, int, range, sys, (1).__add__]
)
def test_values_that_are_not_built_in_are_left_to_cloudpickle(value: Any) -> None:
    """Also inside a container."""
    assert dumps_plain(value) is None
    assert dumps_plain([{"a": (value,)}]) is None


def test_a_value_too_deep_for_pickle_is_an_error_with_a_name() -> None:
    """Not a crash."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert dumps_plain(deep) is None
    with pytest.raises(SerialisationError, match="the argument cannot be pickled"):
        dumps(deep, "the argument")
    while deep:  # Taken apart by hand: not every Python frees so deep a list without a deep stack.
        deep = deep[0]


@pytest.mark.parametrize("value", [plus_one, cached, distributed, Point, Point(1, 2)])
def test_pickling_an_object_of_a_project_module_notes_the_module(value: Any) -> None:
    """So that its source can travel along."""
    pickled = dumps(value, "it")
    assert __name__ in pickled.modules
    assert loads(pickled.data) == value


@pytest.mark.parametrize("value", [plus_one, cached, distributed, Point])
def test_an_object_with_a_name_in_its_module_is_unpickled_as_the_same_object(value: Any) -> None:
    """It is pickled by name."""
    assert loads(dumps(value, "it").data) is value


def test_a_function_under_decorators_is_unpickled_as_the_same_object() -> None:
    """A wrapped function is the attribute of its wrapper."""
    wrapped = distributed.__wrapped__
    assert loads(dumps(wrapped, "it").data) is wrapped
    assert loads(dumps(cached.__wrapped__, "it").data) is cached.__wrapped__


def test_a_module_travels_by_name() -> None:
    """A project's own is noted."""
    module = sys.modules[__name__]
    pickled = dumps([module, sys], "it")
    assert pickled.modules == {__name__}
    assert loads(pickled.data) == [module, sys]


def test_a_local_function_of_a_project_module_keeps_the_module_s_globals() -> None:
    """It sees what the module holds, not a copy."""

    def get() -> Any:
        return plus_one

    copy = loads(dumps(get, "it").data)
    assert copy is not get
    assert copy.__globals__ is globals()
    assert copy() is plus_one


def test_a_function_whose_name_was_reassigned_is_pickled_by_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its name now means another."""
    old = plus_one
    monkeypatch.setattr(sys.modules[__name__], "plus_one", lambda x: -1)
    copy = loads(dumps(old, "it").data)
    assert copy is not old
    assert copy(1) == 2


def test_a_function_with_attributes_and_an_empty_cell_travels() -> None:
    """All that belongs to it."""

    def outer() -> Any:
        def inner(x: int = 3, *, y: int = 4) -> Any:
            return late  # noqa: F821

        inner.label = "mine"  # type: ignore[attr-defined]
        late = 1
        del late
        return inner

    copy = loads(dumps(outer(), "it").data)
    assert copy.label == "mine"
    assert (copy.__defaults__, copy.__kwdefaults__) == ((3,), {"y": 4})
    with pytest.raises(NameError):
        copy()


def test_a_traceback_travels() -> None:
    """As a value of its own too."""
    try:
        raise ValueError("x")
    except ValueError as error:
        frames = error.__traceback__
    copy = loads(dumps(frames, "it").data)
    assert isinstance(copy, types.TracebackType)
    assert traceback.extract_tb(copy)[-1].name == "test_a_traceback_travels"


def test_a_pickling_error_names_the_value_and_its_type_with_what_to_do() -> None:
    """Path, type and pickle's own words."""
    with pytest.raises(SerialisationError) as caught:
        dumps({"settings": [threading.Lock()]}, "argument 1 of f")
    text = str(caught.value)
    assert "argument 1 of f['settings'][0] (a lock)" in text
    assert "cannot pickle '_thread.lock' object" in text
    assert "make it on the worker" in text
    assert (caught.value.__cause__, caught.value.__suppress_context__) == (None, True)


def test_a_cached_function_without_a_name_of_its_own_travels_with_an_empty_cache() -> None:
    """Local, recursive, or over what is no function."""

    @functools.lru_cache(maxsize=7, typed=True)
    def fibonacci(n: int) -> int:
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    fibonacci(10)
    copy = loads(dumps(fibonacci, "it").data)
    assert copy(20) == 6765
    assert copy.cache_info().hits > 0
    assert copy.cache_parameters() == {"maxsize": 7, "typed": True}
    assert copy.__name__ == "fibonacci"
    over_partial = loads(dumps(functools.lru_cache(functools.partial(plus_one, 1)), "it").data)
    assert over_partial() == 2


def test_a_cached_function_of_an_installed_module_travels_by_name() -> None:
    """It is there already."""
    import fnmatch

    cached_function = fnmatch._compile_pattern  # type: ignore[attr-defined]
    assert loads(dumps(cached_function, "it").data) is cached_function


@pytest.mark.slow
def test_names_that_an_import_hook_has_put_into_a_module_travel() -> None:
    """pytest's do for the asserts of this very function, which the worker imports without them."""

    def check(total: int) -> int:
        assert total == 3, "wrong total"
        return total

    with Elsewhere() as backend:
        assert compute_this(check)(3).compute(backend) == 3
        with pytest.raises(AssertionError, match="wrong total"):
            compute_this(check)(2).compute(backend)


def test_a_dead_reference_arrives_dead() -> None:
    class Gone:
        """Nothing."""

    gone = Gone()
    reference = weakref.ref(gone)
    del gone
    again = loads(dumps(reference, "it").data)
    assert again() is None


def test_a_function_without_a_closure_is_restored_without_one() -> None:
    """As libraries look at it."""

    def inner() -> str:
        return __name__

    again = loads(dumps(inner, "it").data)
    assert again.__closure__ is None
    assert again() == __name__
