"""What `compute_this` makes of a function: called, it gives a `Distributable` and runs nothing."""

import functools
import inspect
import pickle
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    Self,
    TypedDict,
    TypeVar,
    Unpack,
    overload,
)

from distribute_challenge.core.folding import fold, folded
from distribute_challenge.core.never_run import place_of_caller
from distribute_challenge.core.options import CallOptions
from distribute_challenge.core.signature import (
    CheckedSignature,
    bound_signature,
    function_name,
    refuse_generators,
    shows_another,
    signature_text,
)
from distribute_challenge.distributable import Distributable, Prepared
from distribute_challenge.execution_backends.registry import Choice
from distribute_challenge.mapping import Mapping, OnError, total_of
from distribute_challenge.serialisation import dumps

__all__ = ["DistributableFunction", "ExceptionClasses", "Options"]

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
T = TypeVar("T")

ExceptionClasses = type[BaseException] | tuple[type[BaseException], ...]


class Options(TypedDict, total=False):
    """The options of `CallOptions`, as type checkers know them."""

    backend: Choice
    timeout: float | None
    retries: int
    retry_on: ExceptionClasses
    queue: str
    priority: int
    queue_timeout: float | None
    at_most_once: bool


class _Item:
    """Stands for what an iterable will give, in a message."""

    def __repr__(self) -> str:
        return "..."


_ITEM = _Item()


class DistributableFunction(Generic[P, R]):
    """A function whose calls can run anywhere. Made by `compute_this`.

    It keeps the function's name, docstring, signature and types. ``square.__wrapped__`` is the
    function itself.

    Args:
        function: Any callable; also a `staticmethod` or `classmethod` object inside a class body.
        options: How its calls run.
        prefix: Leading arguments that are filled already: the instance or class of a bound method.

    Raises:
        UnsupportedFunctionError: A generator function, or something that cannot be called.
    """

    __distributable__ = True  # What `serialisation` knows these by, without importing them.

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
        """Show what is left to fill; `inspect` finds that of a function that is not bound by
        itself.
        """
        if shows_another(function):
            shown = _shown(function)
            if shown is not None:
                self.__signature__ = bound_signature(shown, bound)
        else:
            assert self._checked.signature is not None  # Only functions of Python are bound.
            self.__signature__ = self._checked.signature

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> Distributable[R]:
        """Make the call without running it.

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
        call.made_at = place_of_caller()
        return call

    def local(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself, here and now."""
        return self.__wrapped__(*self._prefix, *args, **kwargs)

    @property
    def options(self) -> CallOptions:
        """How its calls run."""
        return self._prepared.options

    def with_options(self, /, **options: Unpack[Options]) -> "DistributableFunction[P, R]":
        """A copy with other options; see `CallOptions` for their names.

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

    @overload
    def map(
        self,
        *iterables: Iterable[Any],
        ordered: bool = ...,
        on_error: Literal["raise"] = ...,
        progress: bool = ...,
        batch_size: int | None = ...,
        backend: Choice = ...,
    ) -> Iterator[R]: ...

    @overload
    def map(
        self,
        *iterables: Iterable[Any],
        ordered: bool = ...,
        on_error: Literal["return"],
        progress: bool = ...,
        batch_size: int | None = ...,
        backend: Choice = ...,
    ) -> Iterator[R | BaseException]: ...

    def map(
        self,
        *iterables: Iterable[Any],
        ordered: bool = True,
        on_error: OnError = "raise",
        progress: bool = False,
        batch_size: int | None = None,
        backend: Choice = None,
    ) -> Iterator[Any]:
        """Call the function on each item, as the built-in `map` does, on all workers.

        The number of iterables is checked against the function's signature: here, if they say that
        there is an item, and else when the first one comes.

        Args:
            iterables: One for each parameter; the shortest ends it. They may be endless.
            ordered: Results in the order of the items; False: as they come.
            on_error: ``"raise"`` the first exception, or ``"return"`` exceptions in place of
                values.
            progress: Show a bar, in a terminal or a notebook.
            batch_size: Calls in one message; None: adapted to how long they take.
            backend: As for `Distributable.compute`.

        Returns:
            A lazy iterator: nothing runs before the first result is asked for, and only a bounded
                number of calls is
            on its way. Closing or dropping it cancels those that have not begun.

        Raises:
            OptionError: An option has a value it cannot have, or the backend does not keep one of
                the function's.
            SerialisationError: The function cannot be pickled.
            SignatureError: The function takes another number of arguments.

        Examples:
            >>> from distribute_challenge import compute_this
            >>> list(compute_this(lambda x, y: x * y).map([1, 2, 3], [4, 5, 6]))
            [4, 10, 18]
        """
        with folded:
            calls: Iterable[tuple[Any, ...]] = zip(*iterables, strict=False)
            total = total_of(iterables)
            if total:
                self._checked.check(self.__name__, (_ITEM,) * len(iterables), {})
            return self._mapped(calls, total, ordered, on_error, progress, batch_size, backend)

    @overload
    def starmap(
        self,
        iterable: Iterable[Iterable[Any]],
        *,
        ordered: bool = ...,
        on_error: Literal["raise"] = ...,
        progress: bool = ...,
        batch_size: int | None = ...,
        backend: Choice = ...,
    ) -> Iterator[R]: ...

    @overload
    def starmap(
        self,
        iterable: Iterable[Iterable[Any]],
        *,
        ordered: bool = ...,
        on_error: Literal["return"],
        progress: bool = ...,
        batch_size: int | None = ...,
        backend: Choice = ...,
    ) -> Iterator[R | BaseException]: ...

    def starmap(
        self,
        iterable: Iterable[Iterable[Any]],
        *,
        ordered: bool = True,
        on_error: OnError = "raise",
        progress: bool = False,
        batch_size: int | None = None,
        backend: Choice = None,
    ) -> Iterator[Any]:
        """Like `map`, with each item a sequence of arguments.

        The first one is checked against the function's signature when it comes, unless errors are
        returned.

        Examples:
            >>> from distribute_challenge import compute_this
            >>> list(compute_this(pow).starmap([(2, 3), (3, 2)]))
            [8, 9]
        """
        with folded:
            calls = map(tuple, iterable)
            return self._mapped(
                calls, total_of([iterable]), ordered, on_error, progress, batch_size, backend
            )

    def _mapped(
        self,
        calls: Iterable[tuple[Any, ...]],
        total: int | None,
        ordered: bool,
        on_error: OnError,
        progress: bool,
        batch_size: int | None,
        backend: Choice,
    ) -> Iterator[Any]:
        if self._prefix:
            calls = (self._prefix + call for call in calls)
        return Mapping(
            self._prepared,
            self._prepared.engine(backend),
            calls,
            total=total,
            ordered=ordered,
            on_error=on_error,
            progress=progress,
            batch_size=batch_size,
            check=self._check_item,
            made_at=place_of_caller(2),
        ).results()

    def _check_item(self, args: tuple[Any, ...]) -> None:
        self._checked.check(self.__name__, args[len(self._prefix) :], {})

    # To a type checker, what stands below a decorator is always a plain function. What it is bound
    # to shows in the type of its first parameter: of any type, as without annotations, where all
    # arguments are allowed; the class; an instance; or neither, as of a static method. mypy does
    # not compare that type, so with it all arguments of methods are allowed.

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
        """Bind to an instance or a class, as the wrapped function would."""
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
        # For other picklers; `serialisation` takes the state below. pickle finds a decorated
        # function's own function under no name, as the name leads to this object.
        module = sys.modules.get(self.__module__)
        if self.__module__ != "__main__" and getattr(module, self.__qualname__, None) is self:
            return str(self.__qualname__)
        return pickle.loads, (dumps(self, f"the function {self.__name__}").data,)

    def __copy__(self) -> Self:
        return self  # As functions do.

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
    """The signature that readers and tools see: that of the innermost function, which decorators
    keep.
    """
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None
