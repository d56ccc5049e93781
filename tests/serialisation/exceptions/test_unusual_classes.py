"""Exceptions whose classes have their own way to be made, changed or pickled."""

import threading
from dataclasses import dataclass
from typing import Any, Self

import pytest

from distribute_challenge.core.outcome import add_note
from distribute_challenge.errors import SerialisationError
from distribute_challenge.serialisation import dumps, dumps_error, loads, loads_error
from tests.serialisation.exceptions.raised import MoreError, TwoArgumentsError, returned


class EndlessError(Exception):
    def __reduce__(self) -> Any:
        return self.__reduce__()


class ExitError(Exception):
    def __reduce__(self) -> Any:
        raise SystemExit(3)


class TextReduceError(Exception):
    def __reduce__(self) -> Any:
        return "TextReduceError"


class ReducedError(Exception):
    def __init__(self, name: str, state: dict[str, int] | None = None) -> None:
        self.name, self.state = name, state

    def __reduce__(self) -> Any:
        return ReducedError, (self.name,), self.state


class SetterError(Exception):
    def __reduce__(self) -> Any:
        return SetterError, (), "set", None, None, _set_args


def _set_args(error: Exception, state: str) -> None:
    error.args = (state,)


class UnloadableError(Exception):
    def __reduce__(self) -> Any:
        return _refuse, ()


def _refuse() -> None:
    raise OSError("cannot be loaded")


class ChangingError(Exception):
    def __reduce__(self) -> Any:
        return str, ("something else",)


class OtherError(Exception):
    def __reduce__(self) -> Any:
        return ValueError, ("something else",)


def test_an_exception_with_its_own_init_comes_back_with_its_attributes() -> None:
    """Although its arguments are not its `args`."""

    def fail() -> None:
        raise TwoArgumentsError(1, 2)

    error = returned(fail)
    assert isinstance(error, TwoArgumentsError)
    assert (error.a, error.b, str(error)) == (1, 2, "1 and 2")


@pytest.mark.parametrize(
    "kind", [UnloadableError, ChangingError, OtherError, EndlessError, ExitError]
)
def test_a_reduce_method_that_does_not_restore_the_exception_is_not_used(
    kind: type[Exception],
) -> None:
    """It is tried where it is raised; the exception is then taken apart without it."""
    error = loads_error(dumps_error(kind("no", 1)))
    assert type(error) is kind
    assert error.args == ("no", 1)


def test_a_reduce_that_works_is_used() -> None:
    """It may come with a state, or a way to set it."""
    error: Any = loads_error(dumps_error(ReducedError("a", {"b": 1})))
    assert isinstance(error, ReducedError)
    assert (error.name, error.b) == ("a", 1)  # type: ignore[attr-defined]
    error = loads_error(dumps_error(SetterError("a")))
    assert isinstance(error, SetterError)
    assert error.args == ("set",)
    error, text = loads(dumps([ReducedError("a", {"b": 1}), ChangingError("x")], "values").data)
    assert (error.name, error.b, text) == ("a", 1, "something else")
    with pytest.raises(SerialisationError, match="gave no tuple"):
        dumps(TextReduceError("x"), "a value")


@dataclass(frozen=True)
class FrozenError(Exception):
    item: str


class SlotsError(Exception):
    __slots__ = ("a", "b", "unset")

    def __init__(self, a: int, b: list[int]) -> None:
        self.a, self.b = a, b


class UnchangeableError(OSError):
    def __init__(self, code: int, *args: Any) -> None:
        super().__init__(*args)
        vars(self)["code"] = code

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("cannot be changed")

    def __getattr__(self, name: str) -> Any:
        raise SystemExit(name)

    def __eq__(self, other: object) -> bool:
        raise SystemExit("compared")

    __hash__ = OSError.__hash__


class NewError(Exception):
    def __new__(cls, a: int, b: int) -> Self:
        return super().__new__(cls, a)

    def __init__(self, a: int, b: int) -> None:
        self.b = b


class AbortError(BaseException):
    pass


@pytest.mark.parametrize(
    ("original", "attributes"),
    [
        (FrozenError("pen"), {"item": "pen", "args": ("pen",)}),
        (SlotsError(1, [2]), {"a": 1, "b": [2], "args": (1, [2])}),
        (
            UnchangeableError(5, 2, "no", "file"),
            {"code": 5, "errno": 2, "filename": "file", "args": (2, "no")},
        ),
        (NewError(1, 2), {"b": 2, "args": (1,)}),
        (MoreError("m", [KeyError(1)], 3), {"more": 3, "message": "m"}),
        (AbortError("stop"), {"args": ("stop",)}),
        (NameError("x", name="x"), {"name": "x"}),
        (AttributeError("x", name="x", obj=threading.Lock()), {"name": "x", "obj": None}),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("as_value", [False, True])
def test_exceptions_of_restrictive_classes_are_restored(
    original: Any, attributes: dict[str, Any], as_value: bool
) -> None:
    """None of its code runs, for a call's exception and for a part of a value."""
    add_note(original, "a note")
    error: Any = (
        loads(dumps([original], "values").data)[0]
        if as_value
        else loads_error(dumps_error(original))
    )
    assert type(error) is type(original)
    assert {name: getattr(error, name) for name in attributes} == attributes
    assert vars(error)["__notes__"][-1] == "a note"
