"""Checking arguments where the call is written."""

import functools
import inspect
import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from unittest import mock

import pytest

from distribute_challenge.core.signature import (
    CheckedSignature,
    call_text,
    function_name,
    refuse_generators,
)
from distribute_challenge.errors import SignatureError, UnsupportedFunctionError


def plain(x: int, y: int = 1) -> None: ...


def variadic(*args: int, **kwargs: int) -> None: ...


def keyword_only(x: int, *, key: int) -> None: ...


def optional_keyword(x: int, *, key: int = 0) -> None: ...


def positional_only(x: int, /) -> None: ...


@pytest.mark.parametrize(
    ("function", "args", "kwargs"),
    [
        (plain, (1,), {}),
        (plain, (1, 2), {}),
        (plain, (), {"x": 1}),
        (plain, (1,), {"y": 2}),
        (variadic, (), {}),
        (variadic, (1, 2, 3), {"k": 1}),
        (keyword_only, (1,), {"key": 2}),
        (optional_keyword, (1,), {}),
        (positional_only, (1,), {}),
    ],
)
def test_arguments_that_fit_pass(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Nothing is raised."""
    CheckedSignature(function).check("f", args, kwargs)


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "words"),
    [
        (plain, (), {}, "missing a required argument: 'x'"),
        (plain, (1, 2, 3), {}, "too many positional arguments"),
        (plain, (1,), {"z": 1}, "unexpected keyword argument 'z'"),
        (plain, (1,), {"x": 1}, "multiple values for argument 'x'"),
        (keyword_only, (1,), {}, "missing a required.* argument: 'key'"),
        (keyword_only, (1, 2), {}, "too many positional arguments"),
        (positional_only, (), {"x": 1}, "positional.only"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_in_python_s_words(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], words: str
) -> None:
    """The message has the call and the signature too, and it is a TypeError."""
    with pytest.raises(SignatureError, match=words) as caught:
        CheckedSignature(function).check("f", args, kwargs)
    assert isinstance(caught.value, TypeError)
    assert "in the call f(" in str(caught.value)
    assert "the signature is f(" in str(caught.value)


def test_a_bound_method_s_signature_leaves_out_what_is_bound() -> None:
    """The user does not write `self`."""

    class Adder:
        def add(self, x: int) -> None: ...

        def variadic(*args: int) -> None: ...

    checked = CheckedSignature(Adder.add, bound=1)
    checked.check("add", (1,), {})
    assert str(checked.signature) == "(x: int) -> None"
    with pytest.raises(SignatureError):
        checked.check("add", (1, 2), {})
    CheckedSignature(Adder.variadic, bound=1).check("variadic", (), {})


def test_a_callable_without_a_signature_accepts_everything() -> None:
    """Some C functions have none; the worker will say what is wrong."""
    checked = CheckedSignature(dict.fromkeys.__class__)
    assert checked.signature is None or checked.signature
    checked = CheckedSignature(max)
    assert checked.signature is None
    checked.check("max", (1, 2, 3), {"anything": 1})


def fills_first(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(0, *args, **kwargs)

    return wrapper


def adds_option(function: Callable[..., Any]) -> Callable[..., Any]:
    captured: list[Any] = []

    @functools.wraps(function)
    def wrapper(*args: Any, dry_run: bool = False, **kwargs: Any) -> Any:
        captured.append(dry_run)
        return function(*args, **kwargs)

    return wrapper


class Wrapper:
    """A decorator that is a class."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any) -> None: ...


class Compiled:
    """Stands for a wrapper that is written in C: the signature of its call is not known."""

    __call__ = print

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)


def shown(function: Callable[..., Any]) -> Callable[..., Any]:
    function.__signature__ = inspect.signature(lambda other: None)  # type: ignore[attr-defined]
    return function


def two(first: int, second: int) -> None: ...


class Holder:
    method = fills_first(two)


@pytest.mark.parametrize(
    ("function", "args", "kwargs"),
    [
        (fills_first(two), (1,), {}),
        (fills_first(two), (), {"second": 1}),
        (adds_option(two), (1, 2), {"dry_run": True}),
        (mock.patch("os.getcwd")(two), (1,), {}),
        (functools.partial(fills_first(two)), (1,), {}),
        (Holder().method, (), {}),
        (Wrapper(two), (), {}),
        (Compiled(two), (), {"anything": 1}),
        (functools.lru_cache(fills_first(two)), (1,), {}),
        (shown(fills_first(two)), (1,), {}),
        (fills_first(shown(two)), (1, 2, 3), {}),
    ],
)
def test_arguments_that_a_wrapper_accepts_are_not_refused(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """What the wrapped function would take does not matter."""
    CheckedSignature(function).check("f", args, kwargs)


@pytest.mark.parametrize(
    "function", [functools.cache(two), functools.lru_cache(8)(two), functools.partial(two), two]
)
def test_arguments_are_checked_through_wrappers_that_pass_them_on(
    function: Callable[..., Any],
) -> None:
    """The same is wrong with and without it."""
    with pytest.raises(SignatureError, match="missing a required argument"):
        CheckedSignature(function).check("two", (1,), {})


def generator(n: int) -> Iterator[int]:
    yield n


async def async_generator(n: int) -> AsyncIterator[int]:
    yield n


class Yielding:
    def __call__(self) -> Iterator[int]:
        yield 1


@pytest.mark.parametrize(
    "function",
    [
        generator,
        async_generator,
        Yielding(),
        functools.partial(generator, 1),
        functools.partial(functools.partial(generator), 1),
    ],
)
def test_a_generator_is_refused_with_what_to_do_instead(function: Callable[..., Any]) -> None:
    """It may be wrapped in any way."""
    with pytest.raises(
        UnsupportedFunctionError, match=r"is a generator function.*Return a list.*map"
    ):
        refuse_generators(function, "f")


@pytest.mark.parametrize("function", [plain, len, int, functools.partial(plain, 1)])
def test_other_callables_are_not_refused(function: Callable[..., Any]) -> None:
    """They end in one value."""
    refuse_generators(function, "f")


class Named:
    def __call__(self) -> None: ...


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (plain, "plain"),
        (functools.partial(plain, 1), "plain"),
        (functools.partial(functools.partial(plain), 1), "plain"),
        (Named(), "Named"),
        (Named, "Named"),
        (len, "len"),
        (lambda: None, "<lambda>"),
        (mock.NonCallableMagicMock(__name__=3), "NonCallableMagicMock"),
    ],
)
def test_every_callable_has_a_readable_name(function: Callable[..., Any], name: str) -> None:
    """Logs and messages show it."""
    assert function_name(function) == name


def test_a_call_is_written_as_in_source() -> None:
    """Keyword arguments stand behind."""
    assert call_text("f", (1, "a"), {"k": None}) == "f(1, 'a', k=None)"


def test_long_arguments_are_cut() -> None:
    """A message is one line, whatever the call carries."""
    text = call_text(
        "f", ("x" * 1000, list(range(1000)), {n: n for n in range(1000)}), {"y": "z" * 1000}
    )
    assert len(text) < 300
    assert "..." in text


def test_an_argument_that_cannot_be_shown_does_not_break_the_text() -> None:
    """A broken `__repr__` is not the library's business."""

    class Broken:
        def __repr__(self) -> str:
            raise ValueError

    assert call_text("f", (Broken(),), {}).startswith("f(<Broken")


@pytest.mark.parametrize("error", [ValueError, SystemExit, RecursionError])
def test_the_text_of_a_call_survives_a_repr_that_exits_and_huge_integers(
    error: type[BaseException],
) -> None:
    """The text goes on after such an argument."""

    class Broken:
        def __repr__(self) -> str:
            raise error

    broken_list = type("list", (), {"__len__": lambda self: 1 / 0, "__repr__": Broken.__repr__})
    text = call_text("f", (Broken(), broken_list(), 10**5000, -(10**6000)), {"k": [Broken(), 2]})
    text = re.sub(r" instance at 0x\w+", "", text)
    assert (
        text
        == "f(<Broken>, <list>, <int of about 5001 digits>, <int of about 6001 digits>, k=[<Broken>, 2])"
    )


def test_a_keyboard_interrupt_while_a_text_is_made_is_raised() -> None:
    """Ctrl+C is the user's, wherever it comes."""

    class Slow:
        def __repr__(self) -> str:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call_text("f", (Slow(),), {})
