"""`map` and `starmap`: many calls of one function at a time."""

from collections.abc import Iterable
from operator import length_hint
from typing import Any, Generic, Literal, TypedDict, TypeVar, Unpack, overload

from distribute_challenge.core.folding import folded
from distribute_challenge.core.map_options import MapOptions, OnError
from distribute_challenge.core.never_run import place_of_caller
from distribute_challenge.core.signature import CheckedSignature
from distribute_challenge.distributable import Prepared
from distribute_challenge.execution_backends.registry import Choice
from distribute_challenge.map_results import MapResults
from distribute_challenge.map_run import Completions, MapRun
from distribute_challenge.mapping import Mapping

__all__ = ["Mappable"]

R = TypeVar("R")


class Options(TypedDict, total=False):
    """The options of a map as keyword arguments, for type checkers; `Mappable.map` explains them."""

    ordered: bool
    progress: bool
    batch_size: int | None
    chunksize: int | None
    timeout: float | None
    backend: Choice


class _Item:
    """Stands for an item of an iterable in error messages."""

    def __repr__(self) -> str:
        return "..."


_ITEM = _Item()


class Mappable(Generic[R]):
    """A function that can be called on many items; the base class of `DistributableFunction`."""

    __name__: str
    _prepared: Prepared
    _checked: CheckedSignature
    _prefix: tuple[Any, ...]

    @overload
    def map(
        self,
        *iterables: Iterable[Any],
        on_error: Literal["raise"] = ...,
        return_exceptions: Literal[False] = ...,
        **options: Unpack[Options],
    ) -> MapResults[R]: ...

    @overload
    def map(
        self,
        *iterables: Iterable[Any],
        on_error: Literal["return"],
        **options: Unpack[Options],
    ) -> MapResults[R | BaseException]: ...

    @overload
    def map(
        self,
        *iterables: Iterable[Any],
        return_exceptions: Literal[True],
        **options: Unpack[Options],
    ) -> MapResults[R | BaseException]: ...

    def map(
        self,
        *iterables: Iterable[Any],
        ordered: bool = True,
        on_error: OnError = "raise",
        progress: bool = False,
        batch_size: int | None = None,
        timeout: float | None = None,
        chunksize: int | None = None,
        return_exceptions: bool = False,
        backend: Choice = None,
    ) -> MapResults[Any]:
        """Call the function on each item, as the built-in `map` does, on all workers.

        The number of iterables is checked against the function's signature: at once, if their
        lengths are known and there is an item; otherwise when the first item comes.

        Args:
            iterables: One for each parameter; the map ends with the shortest. They may be endless.
            ordered: True: results come in the order of the items; False: as calls end.
            on_error: ``"raise"`` the first exception, or ``"return"`` exceptions in place of
                values.
            progress: Show a progress bar, in a terminal or a notebook.
            batch_size: Number of calls in one message; None: adapted to how long they take.
            timeout: Seconds to wait for each result, counted from when the first one is asked for;
                None waits for ever. Then the map raises `ResultTimeoutError`, and cancels calls
                that have not begun.
            chunksize: Another name of ``batch_size``, as in the standard library.
            return_exceptions: Another name of ``on_error="return"``, as in `gather`.
            backend: As for `Distributable.compute`.

        Returns:
            A lazy iterator, also for ``async for``: nothing runs before the caller asks for the
                first result, and only a bounded number of calls is on its way. When it is closed or
                deleted, calls that have not begun are cancelled.

        Raises:
            OptionError: An option has a value that it cannot have, or the backend does not support
                an option of the function.
            SerialisationError: The function cannot be pickled.
            SignatureError: The function takes another number of arguments.

        Examples:
            >>> from distribute_challenge import compute_this
            >>> list(compute_this(lambda x, y: x * y).map([1, 2, 3], [4, 5, 6]))
            [4, 10, 18]
        """
        with folded:
            options = MapOptions.of(
                ordered=ordered,
                on_error=on_error,
                progress=progress,
                batch_size=batch_size,
                timeout=timeout,
                chunksize=chunksize,
                return_exceptions=return_exceptions,
            )
            calls: Iterable[tuple[Any, ...]] = zip(*iterables, strict=False)
            total = total_of(iterables)
            if total:
                self._checked.check(self.__name__, (_ITEM,) * len(iterables), {})
            return self._mapped(calls, total, options, backend)

    @overload
    def starmap(
        self,
        iterable: Iterable[Iterable[Any]],
        *,
        on_error: Literal["raise"] = ...,
        return_exceptions: Literal[False] = ...,
        **options: Unpack[Options],
    ) -> MapResults[R]: ...

    @overload
    def starmap(
        self,
        iterable: Iterable[Iterable[Any]],
        *,
        on_error: Literal["return"],
        **options: Unpack[Options],
    ) -> MapResults[R | BaseException]: ...

    @overload
    def starmap(
        self,
        iterable: Iterable[Iterable[Any]],
        *,
        return_exceptions: Literal[True],
        **options: Unpack[Options],
    ) -> MapResults[R | BaseException]: ...

    def starmap(
        self,
        iterable: Iterable[Iterable[Any]],
        *,
        ordered: bool = True,
        on_error: OnError = "raise",
        progress: bool = False,
        batch_size: int | None = None,
        timeout: float | None = None,
        chunksize: int | None = None,
        return_exceptions: bool = False,
        backend: Choice = None,
    ) -> MapResults[Any]:
        """Call the function on each item as `map` does; each item is a sequence of arguments.

        The first item is checked against the function's signature when it comes, unless errors are
        returned.

        Args:
            iterable: Sequences with the positional arguments of each call. It may be endless.
            ordered: As for `map`.
            on_error: As for `map`.
            progress: As for `map`.
            batch_size: As for `map`.
            timeout: As for `map`.
            chunksize: As for `map`.
            return_exceptions: As for `map`.
            backend: As for `map`.

        Examples:
            >>> from distribute_challenge import compute_this
            >>> list(compute_this(pow).starmap([(2, 3), (3, 2)]))
            [8, 9]
        """
        with folded:
            options = MapOptions.of(
                ordered=ordered,
                on_error=on_error,
                progress=progress,
                batch_size=batch_size,
                timeout=timeout,
                chunksize=chunksize,
                return_exceptions=return_exceptions,
            )
            return self._mapped(map(tuple, iterable), total_of([iterable]), options, backend)

    def _mapped(
        self,
        calls: Iterable[tuple[Any, ...]],
        total: int | None,
        options: MapOptions,
        backend: Choice,
    ) -> MapResults[Any]:
        if self._prefix:
            calls = (self._prefix + call for call in calls)
        completions = Completions()
        mapping = Mapping(
            self._prepared,
            self._prepared.engine(backend),
            calls,
            options,
            completions.put,
            total=total,
            named=backend,
            check=self._check_item,
            made_at=place_of_caller(2),
        )
        return MapResults(MapRun(mapping, completions, options))

    def _check_item(self, args: tuple[Any, ...]) -> None:
        self._checked.check(self.__name__, args[len(self._prefix) :], {})


def total_of(iterables: Iterable[Iterable[Any]]) -> int | None:
    """Return the number of calls that iterables make together; None if a length is unknown.

    Examples:
        >>> total_of([range(10), "abc"]), total_of([iter(int, 1)])
        (3, None)
    """
    hints = [length_hint(iterable, -1) for iterable in iterables]
    return None if -1 in hints or not hints else min(hints)
