"""`DistributableFunction`: a function that returns a `Distributable` when it is called."""

import functools
import inspect
import pickle
import sys
import types
from collections.abc import Callable
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    Self,
    TypedDict,
    TypeVar,
    Unpack,
    overload,
)

from distribute_challenge.core.folding import fold, folded
from distribute_challenge.core.never_run import place_of_caller, warning
from distribute_challenge.core.options import CallOptions
from distribute_challenge.core.signature import (
    CheckedSignature,
    bound_signature,
    function_name,
    refuse_generators,
    shows_another,
    signature_text,
)
from distribute_challenge.distributable import NEVER_RUN, Distributable, Prepared
from distribute_challenge.execution_backends.registry import Choice
from distribute_challenge.mappable import Mappable
from distribute_challenge.serialisation import dumps

if TYPE_CHECKING:
    from distribute_challenge.queues.consumers import Consumers
    from distribute_challenge.queues.queue import Ack, Queue

__all__ = ["CallSettings", "DistributableFunction", "ExceptionClasses", "Options"]

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
T = TypeVar("T")

ExceptionClasses = type[BaseException] | tuple[type[BaseException], ...]


class CallSettings(TypedDict, total=False):
    """The options of `CallOptions` without the backend, as keyword arguments, for type checkers."""

    timeout: float | None
    retries: int
    retry_on: ExceptionClasses
    queue: str
    priority: int
    queue_timeout: float | None
    at_most_once: bool
    setup: Callable[[], Any] | None


class Options(CallSettings, total=False):
    """The options of `CallOptions` as keyword arguments, for type checkers."""

    backend: Choice


class DistributableFunction(Mappable[R], Generic[P, R]):
    """A function whose calls can run anywhere. `compute_this` makes it.

    It keeps the function's name, docstring, signature and types. ``square.__wrapped__`` is the
    function itself.

    Args:
        function: Any callable; also a `staticmethod` or `classmethod` object inside a class body.
        options: The options of its calls; None: the defaults.
        prefix: Leading arguments that are filled already: the instance or class of a bound method.

    Raises:
        UnsupportedFunctionError: ``function`` is a generator function.
    """

    __distributable__ = True  # By this `serialisation` recognises these objects without an import.

    __wrapped__: Callable[..., R]
    __name__: str
    __qualname__: str

    def __init__(
        self,
        function: Callable[..., R],
        options: CallOptions | None = None,
        prefix: tuple[Any, ...] = (),
    ) -> None:
        self._descriptor: type | None = (
            type(function) if isinstance(function, staticmethod | classmethod) else None
        )
        plain = function.__func__ if isinstance(function, staticmethod | classmethod) else function
        refuse_generators(plain, function_name(plain))
        self._setup(plain, options or CallOptions(), prefix, None)

    def _setup(
        self,
        function: Callable[..., R],
        options: CallOptions,
        prefix: tuple[Any, ...],
        prepared: Prepared | None,
    ) -> None:
        functools.update_wrapper(self, function, updated=())
        self.__name__ = function_name(function)
        self.__qualname__ = getattr(function, "__qualname__", self.__name__)
        self._prefix = prefix
        self._prepared = prepared or Prepared.of(function, options)
        self._checked = CheckedSignature(function, len(prefix))
        if prefix:
            self._show_signature(function, len(prefix))

    def _show_signature(self, function: Callable[..., R], bound: int) -> None:
        """Show the signature of a bound method without its first parameters.

        `inspect` finds that of a function that is not bound by itself.
        """
        if shows_another(function):
            shown = _shown(function)
            if shown is not None:
                self.__signature__ = bound_signature(shown, bound)
        else:
            assert (
                self._checked.signature is not None
            )  # Only functions written in Python are bound.
            self.__signature__ = self._checked.signature

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> Distributable[R]:
        """Make the call, without running it.

        Raises:
            SignatureError: The arguments do not fit the function's signature.
        """
        try:
            self._checked.check(self.__name__, args, kwargs)
        except BaseException as error:
            fold(error)
            raise
        call: Distributable[R] = Distributable(
            self.__wrapped__, self._prefix + args, kwargs, self._prepared
        )
        call.at_deletion = warning(NEVER_RUN, self._prepared.name, place_of_caller())
        return call

    def local(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function itself in this process, and return its value."""
        return self.__wrapped__(*self._prefix, *args, **kwargs)

    def plain(self) -> Callable[..., R]:
        """Return the function itself, with the instance or class to which it is bound."""
        if not self._prefix:
            return self.__wrapped__
        return functools.partial(self.__wrapped__, *self._prefix)

    def consume(
        self,
        queue: "Queue[Any]",
        consumers: int | None = None,
        *,
        results: "Queue[R] | bool | None" = None,
        concurrency: int = 1,
        ack: "Ack | None" = None,
    ) -> "Consumers[R]":
        """Make calls on the cluster that take items of a queue and call the function with each.

        The arguments are those of `Consumers`, which is returned. The function's options, such as
        ``timeout`` and ``retries``, hold for each item.

        Examples:
            >>> from distribute_challenge import LocalCluster, Queue, compute_this
            >>> with LocalCluster(workers=2):
            ...     pictures, small = Queue("pictures"), Queue("small")
            ...     pictures.put_many(["a.png", "b.png"])
            ...     with compute_this(str.upper).consume(pictures, results=small) as consumers:
            ...         consumers.join()
            ...     sorted(small.get_many(2))
            ['A.PNG', 'B.PNG']
        """
        from distribute_challenge.queues.consumers import Consumers

        with folded:
            return Consumers(
                queue, self, consumers, results=results, concurrency=concurrency, ack=ack
            )

    @property
    def options(self) -> CallOptions:
        """The options of its calls."""
        return self._prepared.options

    def with_options(self, /, **options: Unpack[Options]) -> "DistributableFunction[P, R]":
        """Return a copy with other options; see `CallOptions` for their names.

        Examples:
            >>> from distribute_challenge import compute_this
            >>> square = compute_this(lambda x: x * x)
            >>> square.with_options(backend="threads", retries=2)(3).compute()
            9

        Raises:
            OptionError: A name is no option, or a value is out of range.
        """
        with folded:
            return self._copy(self._prefix, self._prepared.options.updated(**options), None)

    # To a type checker, the object below a decorator is always a plain function. The type of its
    # first parameter tells what it is bound to: any type, as without annotations, so that all
    # arguments are allowed; the class; an instance; or none of these, as for a static method. mypy
    # does not compare that type, and so allows all arguments of methods.

    @overload
    def __get__(
        self: "DistributableFunction[Concatenate[T, Q], R]", instance: T, owner: T
    ) -> "DistributableFunction[..., R]": ...

    @overload
    def __get__(
        self: "DistributableFunction[Concatenate[T, Q], R]", instance: object, owner: T
    ) -> "DistributableFunction[Q, R]": ...

    @overload
    def __get__(
        self: "DistributableFunction[Concatenate[T, Q], R]", instance: T, owner: type | None = None
    ) -> "DistributableFunction[Q, R]": ...

    @overload
    def __get__(
        self, instance: object, owner: type | None = None
    ) -> "DistributableFunction[P, R]": ...

    def __get__(self, instance: Any, owner: Any = None) -> "DistributableFunction[..., R]":
        """Bind to an instance or a class, as the wrapped function would do."""
        if self._descriptor is staticmethod or not isinstance(self.__wrapped__, types.FunctionType):
            return self
        if self._descriptor is classmethod:
            return self._copy(
                (owner if owner is not None else type(instance),), None, self._prepared
            )
        return self if instance is None else self._copy((instance,), None, self._prepared)

    def _copy(
        self, prefix: tuple[Any, ...], options: CallOptions | None, prepared: Prepared | None
    ) -> "DistributableFunction[P, R]":
        copy: DistributableFunction[P, R] = DistributableFunction.__new__(DistributableFunction)
        copy._descriptor = self._descriptor
        copy._setup(self.__wrapped__, options or self._prepared.options, prefix, prepared)
        return copy

    def __reduce_ex__(self, protocol: Any) -> str | tuple[Any, ...]:
        # For other picklers; `serialisation` uses `__getstate__`. pickle cannot find the wrapped
        # function by its name, because the name refers to this object.
        module = sys.modules.get(self.__module__)
        if self.__module__ != "__main__" and getattr(module, self.__qualname__, None) is self:
            return str(self.__qualname__)
        return pickle.loads, (dumps(self, f"the function {self.__name__}").data,)

    def __copy__(self) -> Self:
        return self  # A copy of a function is the function itself, too.

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    if not TYPE_CHECKING:  # pragma: no branch - a type checker finds wrong names by itself

        def __getattr__(self, name: str) -> Any:
            if name in ("compute", "submit"):
                raise AttributeError(
                    f"{self.__name__} is a function, and only its calls can {name}: call it first, "
                    f"as in "
                    f"{self.__name__}(...).{name}()"
                )
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    # State in place of arguments, so that a function which refers to its own wrapper can be
    # pickled.

    def __getstate__(self) -> tuple[Any, ...]:
        return self.__wrapped__, self._prepared.options, self._prefix, self._descriptor

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        function, options, prefix, self._descriptor = state
        self._setup(function, options, prefix, None)

    def __repr__(self) -> str:
        return f"<DistributableFunction {self.__name__}{signature_text(_shown(self))}>"


def _shown(function: Callable[..., Any]) -> inspect.Signature | None:
    """Return the signature that people and tools see: that of the innermost wrapped function."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None
