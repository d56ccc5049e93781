"""Batches of calls, and what a worker answers to them."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

from distribute_challenge.core.messages import Batch, FunctionPayload, Reply
from distribute_challenge.execution.function_cache import FunctionCache
from distribute_challenge.execution.run import execute
from distribute_challenge.serialisation import PortableFunction, dumps
from distribute_challenge.serialisation.outcomes import decode_outcomes


def payload_of(function: Callable[..., Any], *retry_on: type[BaseException]) -> FunctionPayload:
    return PortableFunction(function, function.__name__, retry_on).payload()


def frames(
    function: Callable[..., Any],
    arguments: list[Any],
    *retry_on: type[BaseException],
    **options: Any,
) -> Iterator[bytes]:
    """A run of one batch that has not begun."""
    payload = payload_of(function, *retry_on)
    blobs = [dumps(item, "arguments").data for item in arguments]
    frame = Batch("b1", payload.digest, payload.name, blobs, **options).encode()
    return execute(frame, FunctionCache({payload.digest: payload.payload}.get), "w")


def replies(
    function: Callable[..., Any],
    arguments: list[Any],
    *retry_on: type[BaseException],
    **options: Any,
) -> list[Reply]:
    """What a worker answers to one batch."""
    return [Reply.decode(frame) for frame in frames(function, arguments, *retry_on, **options)]


def outcomes(
    function: Callable[..., Any],
    arguments: list[Any],
    *retry_on: type[BaseException],
    **options: Any,
) -> list[Any]:
    return [
        outcome
        for reply in replies(function, arguments, *retry_on, **options)
        for outcome in decode_outcomes(reply)
    ]


def identity(x: Any) -> Any:
    return x


def invert(x: float) -> float:
    return 1 / x


def one(x: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (x,), {}


class Missing:
    """Cannot be loaded."""

    def __init__(self, kind: type[Exception]) -> None:
        self.kind = kind

    def __reduce__(self) -> Any:
        return _miss, (self.kind,)


def _miss(kind: type[Exception]) -> None:
    raise kind("not here")


def make_lock(x: int) -> Any:
    return threading.Lock() if x == 1 else {x}
