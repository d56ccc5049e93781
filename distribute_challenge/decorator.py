"""`compute_this`: the way in."""

from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from distribute_challenge.errors import UnsupportedFunctionError
from distribute_challenge.execution_backends.registry import Choice
from distribute_challenge.function import DistributableFunction
from distribute_challenge.options import CallOptions
from distribute_challenge.settings import DEFAULT_QUEUE

__all__ = ["compute_this"]

P = ParamSpec("P")
R = TypeVar("R")

ExceptionClasses = type[BaseException] | tuple[type[BaseException], ...]


class Decorator(Protocol):
    """What ``compute_this(...)`` with options gives."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> DistributableFunction[P, R]: ...

    @overload
    def __call__(self, function: Callable[P, R], /) -> DistributableFunction[P, R]: ...


@overload
def compute_this(
    function: None = None,
    /,
    *,
    backend: Choice = ...,
    timeout: float | None = ...,
    retries: int = ...,
    retry_on: ExceptionClasses = ...,
    queue: str = ...,
    priority: int = ...,
    queue_timeout: float | None = ...,
    at_most_once: bool = ...,
) -> Decorator: ...


@overload
def compute_this(
    function: Callable[P, Coroutine[Any, Any, R]],
    /,
    *,
    backend: Choice = ...,
    timeout: float | None = ...,
    retries: int = ...,
    retry_on: ExceptionClasses = ...,
    queue: str = ...,
    priority: int = ...,
    queue_timeout: float | None = ...,
    at_most_once: bool = ...,
) -> DistributableFunction[P, R]: ...


@overload
def compute_this(
    function: Callable[P, R],
    /,
    *,
    backend: Choice = ...,
    timeout: float | None = ...,
    retries: int = ...,
    retry_on: ExceptionClasses = ...,
    queue: str = ...,
    priority: int = ...,
    queue_timeout: float | None = ...,
    at_most_once: bool = ...,
) -> DistributableFunction[P, R]: ...


def compute_this(
    function: Callable[..., Any] | None = None,
    /,
    *,
    backend: Choice = None,
    timeout: float | None = None,
    retries: int = 0,
    retry_on: ExceptionClasses = Exception,
    queue: str = DEFAULT_QUEUE,
    priority: int = 0,
    queue_timeout: float | None = None,
    at_most_once: bool = False,
) -> Any:
    """Make a function's calls run on a cluster.

    Works as ``@compute_this``, as ``@compute_this(...)`` and as ``compute_this(function, ...)``.

    Args:
        function: A function, lambda, closure, method, partial, callable object or ``async def``. Above a ``@classmethod``, not
            below it: Python 3.13 and later bind only the call itself there, not ``map`` and the other methods.
        backend: Name of a backend or the backend itself; None: the default one.
        timeout: Seconds that one attempt may run on its worker; None: no limit.
        retries: How often a call that raised is tried again, on the same worker, with growing pauses.
        retry_on: Exception class or classes that are worth another try.
        queue: Celery queue that carries the calls.
        priority: 0 to 9, higher first.
        queue_timeout: Seconds within which a worker has to begin the call, or it fails with `QueueTimeoutError`; None: no limit.
        at_most_once: Never run a call twice: one that was lost with its worker fails, and is not tried again.

    Returns:
        A `DistributableFunction`, or a decorator that makes one.

    Raises:
        UnsupportedFunctionError: A generator function, or something that cannot be called.
        OptionError: An option has a value it cannot have.

    Example:
        >>> @compute_this
        ... def square(x):
        ...     return x * x
        >>> square(3)
        <Distributable square(3)>
        >>> square(3).compute()
        9
    """
    options = CallOptions(backend, timeout, retries, retry_on, queue, priority, queue_timeout, at_most_once)

    def decorate(function: Callable[..., Any]) -> DistributableFunction[..., Any]:
        if not callable(function) and not isinstance(function, staticmethod | classmethod):
            raise UnsupportedFunctionError(
                f"compute_this got {function!r}, which cannot be called; give it a function: @compute_this() above its def"
            )
        return DistributableFunction(function, options)

    return decorate if function is None else decorate(function)
