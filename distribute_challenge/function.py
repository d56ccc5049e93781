"""What `compute_this` makes of a function: called, it gives a `Distributable` and runs nothing."""

import functools
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, Literal, ParamSpec, TypeVar, overload

from distribute_challenge.distributable import Distributable, Prepared
from distribute_challenge.execution_backends.registry import Choice, resolve
from distribute_challenge.mapping import Mapping, OnError, total_of
from distribute_challenge.options import CallOptions
from distribute_challenge.signature import CheckedSignature, function_name, refuse_generators

__all__ = ["DistributableFunction"]

P = ParamSpec("P")
R = TypeVar("R")


class DistributableFunction(Generic[P, R]):
    """A function whose calls can run anywhere. Made by `compute_this`.

    It keeps the function's name, docstring, signature and types. ``square.__wrapped__`` is the function itself.

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
        self, function: Callable[..., R], options: CallOptions | None = None, prefix: tuple[Any, ...] = ()
    ) -> None:
        self._descriptor: type | None = type(function) if isinstance(function, staticmethod | classmethod) else None
        plain = function.__func__ if isinstance(function, staticmethod | classmethod) else function
        refuse_generators(plain, function_name(plain))
        self._setup(plain, options or CallOptions(), prefix, None)

    def _setup(
        self, function: Callable[..., R], options: CallOptions, prefix: tuple[Any, ...], prepared: Prepared | None
    ) -> None:
        functools.update_wrapper(self, function, updated=())
        self.__name__ = function_name(function)
        self.__qualname__ = getattr(function, "__qualname__", self.__name__)
        self._prefix = prefix
        self._prepared = prepared or Prepared.of(function, options)
        self._checked = CheckedSignature(function, len(prefix))
        if prefix and self._checked.signature is not None:
            self.__signature__ = self._checked.signature

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Distributable[R]:
        """Make the call without running it.

        Raises:
            SignatureError: The arguments do not fit the function's signature.
        """
        self._checked.check(self.__name__, args, kwargs)
        return Distributable(self.__wrapped__, self._prefix + args, kwargs, self._prepared)

    def local(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself, here and now."""
        return self.__wrapped__(*self._prefix, *args, **kwargs)

    def with_options(self, **options: Any) -> "DistributableFunction[P, R]":
        """A copy with other options; see `CallOptions` for their names.

        Example:
            >>> from distribute_challenge import compute_this
            >>> square = compute_this(lambda x: x * x)
            >>> square.with_options(backend="threads", retries=2)(3).compute()
            9

        Raises:
            OptionError: A name is no option, or a value is out of range.
        """
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

        Args:
            iterables: One for each parameter; the shortest ends it. They may be endless.
            ordered: Results in the order of the items; False: as they come.
            on_error: ``"raise"`` the first exception, or ``"return"`` exceptions in place of values.
            progress: Show a bar, in a terminal or a notebook.
            batch_size: Calls in one message; None: adapted to how long they take.
            backend: As for `Distributable.compute`.

        Returns:
            A lazy iterator: nothing runs before the first result is asked for, and only a bounded number of calls is
            on its way. Closing or dropping it cancels those that have not begun.

        Raises:
            OptionError: An option has a value it cannot have.
            SerialisationError: The function cannot be pickled.

        Example:
            >>> from distribute_challenge import compute_this
            >>> list(compute_this(lambda x, y: x * y).map([1, 2, 3], [4, 5, 6]))
            [4, 10, 18]
        """
        calls: Iterable[tuple[Any, ...]] = zip(*iterables, strict=False)
        return self._mapped(calls, total_of(iterables), ordered, on_error, progress, batch_size, backend)

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

        Example:
            >>> from distribute_challenge import compute_this
            >>> list(compute_this(pow).starmap([(2, 3), (3, 2)]))
            [8, 9]
        """
        calls = map(tuple, iterable)
        return self._mapped(calls, total_of([iterable]), ordered, on_error, progress, batch_size, backend)

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
            resolve(backend, self._prepared.options.backend),
            calls,
            total=total,
            ordered=ordered,
            on_error=on_error,
            progress=progress,
            batch_size=batch_size,
        ).results()

    @overload
    def __get__(self, instance: None, owner: type) -> "DistributableFunction[P, R]": ...

    @overload
    def __get__(self, instance: object, owner: type | None = None) -> "DistributableFunction[..., R]": ...

    def __get__(self, instance: object, owner: type | None = None) -> "DistributableFunction[..., R]":
        """Bind to an instance or a class, as the wrapped function would."""
        if self._descriptor is staticmethod or not isinstance(self.__wrapped__, types.FunctionType):
            return self
        if self._descriptor is classmethod:
            return self._copy((owner if owner is not None else type(instance),), None, self._prepared)
        return self if instance is None else self._copy((instance,), None, self._prepared)

    def _copy(
        self, prefix: tuple[Any, ...], options: CallOptions | None, prepared: Prepared | None
    ) -> "DistributableFunction[P, R]":
        copy: DistributableFunction[P, R] = DistributableFunction.__new__(DistributableFunction)
        copy._descriptor = self._descriptor
        copy._setup(self.__wrapped__, options or self._prepared.options, prefix, prepared)
        return copy

    # State in place of arguments, so that a function which refers to its own wrapper can be pickled.

    def __getstate__(self) -> tuple[Any, ...]:
        return self.__wrapped__, self._prepared.options, self._prefix, self._descriptor

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        function, options, prefix, self._descriptor = state
        self._setup(function, options, prefix, None)

    def __repr__(self) -> str:
        signature = self._checked.signature
        return f"<DistributableFunction {self.__name__}{'(...)' if signature is None else signature}>"
