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
    [compute_this, compute_this(), compute_this(retries=1), functools.partial(compute_this, retries=1)],
    ids=["bare", "empty", "options", "function"],
)
def test_it_works_bare_with_parentheses_and_as_a_function(decorate: Any) -> None:
    """All the same."""
    function = decorate(square)
    assert isinstance(function, DistributableFunction)
    assert function(3).compute("local") == 9


def test_its_options_are_those_of_the_calls() -> None:
    """Each of them."""
    function = compute_this(
        square, backend="threads", timeout=2.0, retries=3, retry_on=(OSError,), queue="gpu", priority=4
    )
    options = function(1).prepared.options
    assert (options.backend, options.timeout, options.retries) == ("threads", 2.0, 3)
    assert (options.retry_on, options.queue, options.priority) == ((OSError,), "gpu", 4)


def test_a_wrong_option_is_named_where_it_is_written() -> None:
    """Before there is any function."""
    with pytest.raises(OptionError, match="retries=-1"):
        compute_this(retries=-1)


@pytest.mark.parametrize("thing", [3, "square", [square]])
def test_what_cannot_be_called_is_refused_with_the_line_to_write(thing: Any) -> None:
    """It was probably meant as an option."""
    with pytest.raises(
        UnsupportedFunctionError, match=r"which cannot be called; give it a function: @compute_this\(\)"
    ):
        compute_this(thing)


def test_a_user_s_function_may_use_the_names_of_the_options() -> None:
    """They are taken from nobody."""

    @compute_this(backend="local")
    def f(backend: int, timeout: int = 0, retries: int = 0) -> tuple[int, int, int]:
        return backend, timeout, retries

    assert f(1, timeout=2, retries=3).compute() == (1, 2, 3)
