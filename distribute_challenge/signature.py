"""Do these arguments fit this function? Asked at the caller's line, before anything is sent."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from reprlib import Repr
from typing import Any

from distribute_challenge.errors import SignatureError, UnsupportedFunctionError

__all__ = ["CheckedSignature", "call_text", "function_name", "refuse_generators"]

_SHORT = Repr()
# Guesses: long enough to recognise a value, short enough for one line of a log.
_SHORT.maxstring = _SHORT.maxother = 60
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxset = _SHORT.maxdict = 4
_SHORT.maxlevel = 3


class CheckedSignature:
    """The signature of a callable, made once, with a fast answer for plain positional calls.

    Args:
        function: Any callable. One without a signature (some C functions) accepts everything here.
        bound: How many leading positional parameters are filled already (1 for a bound method).

    Example:
        >>> CheckedSignature(lambda x, y=1: x).check("f", (), {})
        Traceback (most recent call last):
        ...
        distribute_challenge.errors.SignatureError: missing a required argument: 'x', in the call f(); the signature is f(x, y=1)
    """

    __slots__ = ("_least", "_most", "signature")

    def __init__(self, function: Callable[..., Any], bound: int = 0) -> None:
        self.signature: inspect.Signature | None
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):
            self.signature, self._least, self._most = None, 0, float("inf")
            return
        parameters = list(signature.parameters.values())
        if bound and parameters and parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL:
            signature = signature.replace(parameters=parameters[bound:])
        self.signature = signature
        self._least, self._most = _positional_range(signature)

    def check(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Raise `SignatureError` unless the arguments fit."""
        if not kwargs and self._least <= len(args) <= self._most:
            return
        if self.signature is None:
            return
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            # Python's own words first, then what was called and what it would take.
            raise SignatureError(
                f"{error}, in the call {call_text(name, args, kwargs)}; the signature is {name}{self.signature}"
            ) from None


def _positional_range(signature: inspect.Signature) -> tuple[int, float]:
    """How many positional arguments alone make a valid call; an impossible range if none do."""
    least, most = 0, 0.0
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            most = float("inf")
        elif parameter.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD):
            most += 1
            least += parameter.default is inspect.Parameter.empty
        elif parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.default is inspect.Parameter.empty:
            return 1, 0
    return least, most


def refuse_generators(function: Callable[..., Any], name: str) -> None:
    """Raise `UnsupportedFunctionError` for a generator function: its values have no single moment to travel."""
    plain = function
    while isinstance(plain, partial):
        plain = plain.func
    for candidate in (plain, getattr(plain, "__call__", None)):  # noqa: B004 - the method itself is inspected
        if inspect.isgeneratorfunction(candidate) or inspect.isasyncgenfunction(candidate):
            raise UnsupportedFunctionError(
                f"{name} is a generator function: a call must end in one value. "
                f"Return a list instead of yielding, or map a function over the items: function.map(items)"
            )


def function_name(function: Callable[..., Any]) -> str:
    """A readable name for any callable: its own, its class's, or that of what a partial wraps."""
    if isinstance(function, partial):
        return function_name(function.func)
    return getattr(function, "__name__", None) or type(function).__name__


def call_text(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """A call as one would write it, long arguments cut.

    Example:
        >>> call_text("f", (1, "x" * 200), {"k": None})
        "f(1, 'xxxxxxxxxxxxxxxxxxxxxxxxxxx...xxxxxxxxxxxxxxxxxxxxxxxxxxxx', k=None)"
    """
    parts = [_SHORT.repr(value) for value in args]
    parts += [f"{key}={_SHORT.repr(value)}" for key, value in kwargs.items()]
    return f"{name}({', '.join(parts)})"
