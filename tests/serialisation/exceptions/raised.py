"""Exceptions as they are raised, and as the client gets them."""

from collections.abc import Callable
from typing import Any, Self

from distribute_challenge.serialisation import dumps_error, loads_error


def caught(function: Callable[[], object]) -> BaseException:
    """What a function raises, with the traceback it raises it with."""
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def returned(function: Callable[[], object]) -> BaseException:
    """What a function raises, as the client gets it."""
    return loads_error(dumps_error(caught(function)))


class TwoArgumentsError(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} and {b}")
        self.a = a
        self.b = b


class MoreError(ExceptionGroup[Exception]):
    def __new__(cls, message: str, errors: list[Exception], more: int) -> Self:
        made = super().__new__(cls, message, errors)
        made.more = more  # type: ignore[attr-defined]
        return made

    def __init__(self, *args: Any) -> None:
        pass
