"""`compute_this`: makes a function's calls run on a cluster."""

from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, Protocol, TypeVar, Unpack, overload

from distribute_challenge.core.folding import folded
from distribute_challenge.core.options import CallOptions
from distribute_challenge.errors import UnsupportedFunctionError
from distribute_challenge.execution_backends.registry import Choice
from distribute_challenge.function import DistributableFunction, ExceptionClasses, Options
from distribute_challenge.settings import DEFAULT_QUEUE

__all__ = ["compute_this"]

P = ParamSpec("P")
R = TypeVar("R")

# A type checker takes the first overload that fits. `DistributableFunction` comes first, because it
# is also a callable. Coroutine functions come before other callables, because the value of the call
# is what the coroutine returns.


class Decorator(Protocol):
    """The type of the decorator that ``compute_this(...)`` with options returns."""

    @overload
    def __call__(self, function: DistributableFunction[P, R], /) -> DistributableFunction[P, R]: ...

    @overload
    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> DistributableFunction[P, R]: ...

    @overload
    def __call__(self, function: Callable[P, R], /) -> DistributableFunction[P, R]: ...


@overload
def compute_this(function: None = None, /, **options: Unpack[Options]) -> Decorator: ...


@overload
def compute_this(
    function: DistributableFunction[P, R], /, **options: Unpack[Options]
) -> DistributableFunction[P, R]: ...


@overload
def compute_this(
    function: Callable[P, Coroutine[Any, Any, R]], /, **options: Unpack[Options]
) -> DistributableFunction[P, R]: ...


@overload
def compute_this(
    function: Callable[P, R], /, **options: Unpack[Options]
) -> DistributableFunction[P, R]: ...


@overload
def compute_this(
    *, func: Callable[P, R], **options: Unpack[Options]
) -> DistributableFunction[P, R]: ...


def compute_this(
    function: Callable[..., Any] | None = None,
    /,
    *,
    func: Callable[..., Any] | None = None,
    backend: Choice = None,
    timeout: float | None = None,
    retries: int = 0,
    retry_on: ExceptionClasses = Exception,
    queue: str = DEFAULT_QUEUE,
    priority: int = 0,
    queue_timeout: float | None = None,
    at_most_once: bool = False,
    setup: Callable[[], Any] | None = None,
) -> Any:
    """Make a function's calls run on a cluster.

    It works as ``@compute_this``, as ``@compute_this(...)`` and as ``compute_this(function, ...)``.
    A function that `compute_this` has made gets those options that differ from the defaults, and
    keeps its own for the rest.

    Args:
        function: A function, lambda, closure, method, partial, callable object or ``async def``.
            Write the decorator above a ``@classmethod``, not below it: Python 3.13 and later bind
            only the call itself there, not ``map`` and the other methods.
        func: The function, if it is given as a keyword.
        backend: Name of a backend, or the backend itself; None: the default one.
        timeout: Seconds that one attempt may run on its worker; None: no limit.
        retries: How often a call that raised is tried again, on the same worker, with growing
            pauses.
        retry_on: Exception class or classes after which a call is tried again.
        queue: Celery queue that carries the calls.
        priority: 0 to 9, higher first.
        queue_timeout: Seconds within which a worker has to begin the call, or it fails with
            `QueueTimeoutError`; None: no limit.
        at_most_once: Never run a call twice: a call that was lost with its worker fails, and is not
            tried again.
        setup: A function without arguments that each process runs once, before its first call, such
            as one that loads a model. If it raises, the call fails with `SetupError`.

    Returns:
        A `DistributableFunction`, or a decorator that makes one.

    Raises:
        UnsupportedFunctionError: ``function`` is a generator function, or cannot be called.
        OptionError: An option has a value that it cannot have.
        TypeError: The function is given twice.

    Examples:
        >>> @compute_this
        ... def square(x):
        ...     return x * x
        >>> call = square(3)
        >>> call
        <Distributable square(3)>
        >>> call.compute()
        9
    """
    with folded:
        options = CallOptions(
            backend,
            timeout,
            retries,
            retry_on,
            queue,
            priority,
            queue_timeout,
            at_most_once,
            setup,
        )
    if func is not None:
        if function is not None:
            raise TypeError("compute_this got a function and func; give it one of them")
        function = func

    def decorate(function: Callable[..., Any]) -> DistributableFunction[..., Any]:
        with folded:
            return decorated(function)

    def decorated(function: Callable[..., Any]) -> DistributableFunction[..., Any]:
        if isinstance(function, DistributableFunction):
            return function.with_options(**options.given())
        if isinstance(function, staticmethod | classmethod):
            inner: Any = function.__func__
            if isinstance(inner, DistributableFunction):
                return DistributableFunction(
                    type(function)(inner.__wrapped__), inner.options.updated(**options.given())
                )
        elif not callable(function):
            raise UnsupportedFunctionError(
                f"compute_this got {function!r}, which cannot be called; give it a function: "
                f"@compute_this() above its def"
            )
        return DistributableFunction(function, options)

    if function is None:
        return decorate
    with folded:
        return decorated(function)
