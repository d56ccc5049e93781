"""Checks that arguments fit a function, at the caller's line and before anything is sent."""

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from functools import partial
from reprlib import Repr
from types import FunctionType, MethodType
from typing import Any

from distribute_challenge.core.needs import is_need
from distribute_challenge.errors import SignatureError, UnsupportedFunctionError

__all__ = [
    "CheckedSignature",
    "bound_signature",
    "call_text",
    "function_name",
    "refuse_generators",
    "shows_another",
    "signature_text",
    "value_text",
]


class _Short(Repr):
    """A `Repr` that cuts long values, and shows a value whose `__repr__` raises by its class."""

    def repr1(self, x: Any, level: int) -> str:
        if is_need(x) and not hasattr(x, "prepared"):
            return f"<Future {x.name}>"  # Of a class of its engine, which is no concern of readers.
        try:
            return super().repr1(x, level)
        except KeyboardInterrupt:
            raise
        except BaseException:  # A broken `__repr__` must not hide the error that is reported here.
            return f"<{type(x).__name__}>"

    def repr_Distributable(self, x: Any, level: int) -> str:  # noqa: N802 - named after the class
        # Without its arguments: a call may stand in a call, a hundred thousand deep.
        return f"{x.prepared.name}(...)"

    def repr_int(self, x: int, level: int) -> str:
        try:
            return super().repr_int(x, level)
        except ValueError:  # Python writes no number of more than 4,300 digits.
            return f"<int of about {int(x.bit_length() * math.log10(2)) + 1} digits>"


_SHORT = _Short()
# Guesses: long enough to recognise a value, short enough for one line of a log.
_SHORT.maxstring = _SHORT.maxother = 60
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxset = _SHORT.maxdict = 4
_SHORT.maxlevel = 3


class CheckedSignature:
    """The signature of a callable, inspected once; positional arguments are checked fast.

    It is the signature of the callable itself, not of the function that it wraps: a decorator may
    fill in arguments, or accept more of them.

    Args:
        function: Any callable. For one without a signature (some C functions) `check` accepts any
            arguments.
        bound: Number of leading positional parameters that are filled already (1 for a bound
            method).

    Examples:
        >>> CheckedSignature(lambda x, y=1: x).check("f", (), {})
        Traceback (most recent call last):
        ...
        distribute_challenge.errors.SignatureError: missing a required argument: 'x', in the call f(); the signature is f(x, y=1)
    """

    __slots__ = ("_least", "_most", "signature")

    def __init__(self, function: Callable[..., Any], bound: int = 0) -> None:
        self.signature: inspect.Signature | None
        try:
            signature = inspect.signature(_called(function), follow_wrapped=False)
        except (TypeError, ValueError):
            self.signature, self._least, self._most = None, 0, float("inf")
            return
        self.signature = bound_signature(signature, bound)
        self._least, self._most = _positional_range(self.signature)

    def check(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Raise `SignatureError` unless the arguments fit.

        Args:
            name: Name of the function, for the error message.
            args: Positional arguments.
            kwargs: Keyword arguments.
        """
        if not kwargs and self._least <= len(args) <= self._most:
            return
        if self.signature is None:
            return
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            # Python's own text first, then the call, and the signature that it should fit.
            raise SignatureError(
                f"{error}, in the call {call_text(name, args, kwargs)}; the signature is "
                f"{name}{signature_text(self.signature)}"
            ) from None


def bound_signature(signature: inspect.Signature, bound: int) -> inspect.Signature:
    """Return a signature without the leading parameters that are filled already.

    Args:
        signature: The signature of the callable.
        bound: Number of leading positional parameters that are filled already.
    """
    parameters = list(signature.parameters.values())
    if not bound or not parameters or parameters[0].kind is inspect.Parameter.VAR_POSITIONAL:
        return signature
    return signature.replace(parameters=parameters[bound:])


def signature_text(signature: inspect.Signature | None) -> str:
    """Return a signature as in a ``def``; ``(...)`` if it is None or a default cannot be shown."""
    try:
        return "(...)" if signature is None else str(signature)
    except Exception:
        return "(...)"


def shows_another(function: Any) -> bool:
    """Whether `inspect` may give the signature of another function for this one."""
    return not {"__wrapped__", "__signature__"}.isdisjoint(getattr(function, "__dict__", ()))


def _called(function: Any) -> Any:
    """Return a callable with the signature of the code that a call of ``function`` runs.

    The attributes of ``function`` may say otherwise: `functools.wraps` gives a wrapper the
    attributes of the function that it wraps: `__wrapped__`, and `__signature__` if there is one.

    Raises:
        ValueError: The signature of that code is unknown.
    """
    if isinstance(function, FunctionType):
        if not shows_another(function):
            return function
        plain = FunctionType(
            function.__code__, {}, function.__name__, function.__defaults__, function.__closure__
        )
        plain.__kwdefaults__, plain.__annotations__ = (
            function.__kwdefaults__,
            function.__annotations__,
        )
        return plain
    if isinstance(function, MethodType):
        return MethodType(_called(function.__func__), function.__self__)
    if isinstance(function, partial):
        return partial(_called(function.func), *function.args, **function.keywords)
    if isinstance(function, _CACHE):
        return _called(function.__wrapped__)  # A cache passes its arguments on unchanged.
    if isinstance(function, type) or not hasattr(function, "__wrapped__"):
        return function
    call = getattr(type(function), "__call__", None)  # noqa: B004 - the method itself is asked for
    if isinstance(call, FunctionType):
        return MethodType(_called(call), function)
    raise ValueError("a wrapper in C")


_CACHE = type(functools.cache(lambda: None))


def _positional_range(signature: inspect.Signature) -> tuple[int, float]:
    """Return how many positional arguments alone make a valid call, at least and at most.

    The range is empty (1, 0) if a keyword-only argument is required.
    """
    least, most = 0, 0.0
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            most = float("inf")
        elif parameter.kind in (
            inspect.Parameter.POSITIONAL_ONLY,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
        ):
            most += 1
            least += parameter.default is inspect.Parameter.empty
        elif (
            parameter.kind is inspect.Parameter.KEYWORD_ONLY
            and parameter.default is inspect.Parameter.empty
        ):
            return 1, 0
    return least, most


def refuse_generators(function: Callable[..., Any], name: str) -> None:
    """Raise `UnsupportedFunctionError` for a generator function: it does not end in one value."""
    plain = function
    while isinstance(plain, partial):
        plain = plain.func
    for candidate in (plain, getattr(plain, "__call__", None)):  # noqa: B004 - the method is inspected
        if inspect.isgeneratorfunction(candidate) or inspect.isasyncgenfunction(candidate):
            raise UnsupportedFunctionError(
                f"{name} is a generator function: a call must end in one value. "
                f"Return a list instead of yielding, or map a function over the items: "
                f"function.map(items)"
            )


def function_name(function: Callable[..., Any]) -> str:
    """Return a readable name of a callable: its own, its class's, or its partial's function's."""
    name = getattr(function, "__name__", None)
    if name is None and isinstance(function, partial):
        return function_name(function.func)
    return name if isinstance(name, str) and name else type(function).__name__


def call_text(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """Return a call as it is written in source code, with long arguments cut.

    Args:
        name: Name of the function.
        args: Positional arguments.
        kwargs: Keyword arguments.

    Examples:
        >>> call_text("f", (1, "x" * 200), {"k": None})
        "f(1, 'xxxxxxxxxxxxxxxxxxxxxxxxxxx...xxxxxxxxxxxxxxxxxxxxxxxxxxxx', k=None)"
    """
    parts = [_SHORT.repr(value) for value in args]
    parts += [f"{key}={_SHORT.repr(value)}" for key, value in kwargs.items()]
    return f"{name}({', '.join(parts)})"


def value_text(value: object) -> str:
    """Return a value as text for a message, cut if it is long; it never raises.

    Examples:
        >>> value_text(("x" * 200, 1))
        "('xxxxxxxxxxxxxxxxxxxxxxxxxxx...xxxxxxxxxxxxxxxxxxxxxxxxxxxx', 1)"
    """
    return _SHORT.repr(value)
