"""The way in."""

import functools
from typing import Any

import pytest

from distribute_challenge import DistributableFunction, compute_this
from distribute_challenge.errors import OptionError, UnsupportedFunctionError


def square(x: int) -> int:
    return x * x


@pytest.mark.parametrize(
    "decorate",
    [
        compute_this,
        compute_this(),
        compute_this(retries=1),
        functools.partial(compute_this, retries=1),
    ],
    ids=["bare", "empty", "options", "function"],
)
def test_compute_this_works_bare_with_parentheses_and_as_a_function(decorate: Any) -> None:
    """All the same."""
    function = decorate(square)
    assert isinstance(function, DistributableFunction)
    assert function(3).compute("local") == 9


@pytest.mark.filterwarnings("ignore::distribute_challenge.errors.NeverRunWarning")
def test_calls_have_the_options_of_the_decorator() -> None:
    """Each of them."""
    function = compute_this(
        square,
        backend="threads",
        timeout=2.0,
        retries=3,
        retry_on=(OSError,),
        queue="gpu",
        priority=4,
    )
    options = function(1).prepared.options
    assert (options.backend, options.timeout, options.retries) == ("threads", 2.0, 3)
    assert (options.retry_on, options.queue, options.priority) == ((OSError,), "gpu", 4)


def test_a_wrong_option_is_named_where_it_is_written() -> None:
    """The error comes before there is any function."""
    with pytest.raises(OptionError, match="retries=-1"):
        compute_this(retries=-1)


@pytest.mark.parametrize("thing", [3, "square", [square]])
def test_compute_this_refuses_a_non_callable_with_the_line_to_write(thing: Any) -> None:
    """It was probably meant as an option."""
    with pytest.raises(
        UnsupportedFunctionError,
        match=r"which cannot be called; give it a function: @compute_this\(\)",
    ):
        compute_this(thing)


def test_a_user_s_function_may_use_the_names_of_the_options() -> None:
    """The decorator takes no names from the user's function."""

    @compute_this(backend="local")
    def f(backend: int, timeout: int = 0, retries: int = 0) -> tuple[int, int, int]:
        return backend, timeout, retries

    assert f(1, timeout=2, retries=3).compute() == (1, 2, 3)


def test_decorating_twice_combines_the_options() -> None:
    """The options of both hold; where both have one, that of the outer."""
    inner = compute_this(square, retries=3, timeout=5.0, backend="local")
    outer = compute_this(inner, timeout=2.0)
    assert outer(3).compute() == 9
    assert (outer.options.retries, outer.options.timeout, outer.options.backend) == (
        3,
        2.0,
        "local",
    )
    assert inner.options.timeout == 5.0
    assert list(compute_this()(compute_this(square)).map([1, 2], backend="local")) == [1, 4]


def test_a_method_is_decorated_twice_as_well() -> None:
    """Bound, static or of a class."""

    class Number:
        @compute_this(timeout=2.0)
        @compute_this(backend="local")
        def plain(self, x: int) -> int:
            return x

        @compute_this(timeout=2.0)
        @staticmethod
        @compute_this(backend="local")
        def static(x: int) -> int:
            return x

        @compute_this(timeout=2.0)
        @classmethod
        @compute_this(backend="local")
        def of_class(cls, x: int) -> tuple[type, int]:
            return cls, x

    assert compute_this(Number().plain, retries=1)(3).compute() == 3
    assert Number.static(3).compute() == Number().static(3).compute() == 3
    assert Number.of_class(3).compute() == (Number, 3)
    assert Number.of_class.options.timeout == 2.0


def test_the_function_may_be_given_as_func() -> None:
    """The first version took it so."""
    assert compute_this(func=square, backend="local")(3).compute() == 9
    with pytest.raises(TypeError, match="a function and func"):
        compute_this(square, func=square)  # type: ignore[call-overload]


def test_compute_this_can_be_imported_from_the_distributable_module() -> None:
    """It stands beside `Distributable`."""
    from distribute_challenge import distributable

    assert distributable.compute_this is compute_this
    with pytest.raises(AttributeError, match="has no attribute 'compute_that'"):
        distributable.compute_that  # noqa: B018
