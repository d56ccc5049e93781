"""`map_reduce`: pairs of all items, by key."""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from inspect import isasyncgenfunction, iscoroutinefunction
from itertools import count, cycle, repeat
from operator import length_hint
from types import BuiltinFunctionType
from typing import Any, Generic, TypeVar, Unpack, overload

from distribute_challenge.core.folding import fold as fold_traceback
from distribute_challenge.core.folding import folded
from distribute_challenge.core.never_run import place_of_caller
from distribute_challenge.core.options import CallOptions
from distribute_challenge.core.signature import function_name
from distribute_challenge.distributable import Prepared
from distribute_challenge.errors import CallError, OptionError, UnsupportedFunctionError
from distribute_challenge.execution_backends.registry import Choice
from distribute_challenge.function import CallSettings, DistributableFunction
from distribute_challenge.mapreduce.client_table import ClientTable
from distribute_challenge.mapreduce.job import Job
from distribute_challenge.mapreduce.keys import Key
from distribute_challenge.mapreduce.steps import Steps

__all__ = ["KeyResults", "map_reduce"]

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")
R = TypeVar("R")

# Partitions for each worker process, so that one with more work than others matters less.
FOR_EACH = 4
MOST = 256  # Partitions, unless there are more worker processes.


class KeyResults(Iterator[tuple[K, R]], Generic[K, R]):
    """The keys of a map-reduce with their results, as an iterator. `map_reduce` returns it.

    Nothing runs before the first pair is asked for.

    Args:
        pairs: The pairs.

    Guarantees: all calls are cancelled when the iterator is closed, and when it is deleted.
    """

    def __init__(self, pairs: Iterator[tuple[Any, Any]]) -> None:
        self._pairs: Any = pairs  # A generator.

    def __iter__(self) -> Iterator[tuple[K, R]]:
        return self._pairs  # type: ignore[no-any-return] # of pairs

    def __next__(self) -> tuple[K, R]:
        try:
            return next(self._pairs)  # type: ignore[no-any-return] # a pair
        except BaseException as error:
            fold_traceback(error)
            raise

    def close(self) -> None:
        """Cancel all calls, and give no further pairs."""
        self._pairs.close()


@overload
def map_reduce(
    mapper: Callable[[T], Iterable[tuple[K, V]] | Mapping[K, V]],
    items: Iterable[T],
    *,
    fold: Callable[[V, V], V],
    key: None = ...,
    partitions: int | None = ...,
    sort: bool = ...,
    progress: bool = ...,
    backend: Choice = ...,
    **options: Unpack[CallSettings],
) -> KeyResults[K, V]: ...


@overload
def map_reduce(
    mapper: Callable[[T], Iterable[tuple[K, V]] | Mapping[K, V]],
    items: Iterable[T],
    *,
    fold: Callable[[V, V], V],
    key: Callable[[K], Key],
    partitions: int | None = ...,
    sort: bool = ...,
    progress: bool = ...,
    backend: Choice = ...,
    **options: Unpack[CallSettings],
) -> KeyResults[Any, V]: ...


@overload
def map_reduce(
    mapper: Callable[[T], Iterable[tuple[K, V]] | Mapping[K, V]],
    items: Iterable[T],
    *,
    reducer: Callable[[K, Iterator[V]], R],
    combiner: Callable[[K, Iterator[V]], V] | None = ...,
    key: None = ...,
    partitions: int | None = ...,
    sort: bool = ...,
    progress: bool = ...,
    backend: Choice = ...,
    **options: Unpack[CallSettings],
) -> KeyResults[K, R]: ...


@overload
def map_reduce(
    mapper: Callable[[T], Iterable[tuple[K, V]] | Mapping[K, V]],
    items: Iterable[T],
    *,
    reducer: Callable[[Any, Iterator[V]], R],
    combiner: Callable[[Any, Iterator[V]], V] | None = ...,
    key: Callable[[K], Key],
    partitions: int | None = ...,
    sort: bool = ...,
    progress: bool = ...,
    backend: Choice = ...,
    **options: Unpack[CallSettings],
) -> KeyResults[Any, R]: ...


def map_reduce(
    mapper: Callable[[Any], Any],
    items: Iterable[Any],
    *,
    fold: Callable[[Any, Any], Any] | None = None,
    reducer: Callable[[Any, Iterator[Any]], Any] | None = None,
    combiner: Callable[[Any, Iterator[Any]], Any] | None = None,
    key: Callable[[Any], Key] | None = None,
    partitions: int | None = None,
    sort: bool = False,
    progress: bool = False,
    backend: Choice = None,
    **options: Unpack[CallSettings],
) -> KeyResults[Any, Any]:
    """Make pairs of a key and a value of each item, and one result of all values of a key.

    Two waves of calls run on all workers. In the first, each call maps some items, and combines the
    values that it has of a key. In the second, each call merges one partition of the keys. The
    pairs in between stay on the cluster. If ``fold`` is written in C, such as `operator.add`, and
    few pairs are left after the first wave, the client merges them, and there is no second.

    Args:
        mapper: Called with each item; gives pairs of a key and a value, as a generator, a list, or
            a dictionary. Keys are texts, bytes, whole numbers, or tuples of these.
        items: The items, which may come from a generator, and must end. They may be calls and
            futures.
        fold: Makes one value of two values of a key, such as `operator.add`. It must not matter
            which neighbours it folds first; their order stays that of the items.
        reducer: Called with each key and an iterator of all its values, in the order of the items;
            returns the result of the key. Give this or ``fold``.
        combiner: With ``reducer``: called in the same way with a key and some of its values, before
            they travel; returns one value in their place.
        key: Turns keys of other types into the types above, as in ``key=str``; results have these.
        partitions: Number of calls of the second wave; None: four for each worker process, or none
            if the client can merge the pairs.
        sort: Give the pairs in the order of the keys; else they come in any order.
        progress: Show a progress bar for each wave, in a terminal or a notebook.
        backend: As for `Distributable.compute`.
        options: The options of `compute_this`, for each call of both waves; those that are not
            given are the ones of ``mapper``, if it is decorated.

    Returns:
        A lazy iterator of pairs of a key and its result, as for ``dict(map_reduce(...))``. Each key
            comes once. When the iterator is closed or deleted, all calls are cancelled.

    Raises:
        CallError: The items are endless.
        OptionError: Neither ``fold`` nor ``reducer`` is given, or both are; an option has a value
            that it cannot have, or the backend does not support it.
        UnsupportedFunctionError: A function cannot be called, or is a coroutine function.

    Examples:
        >>> import operator
        >>> from distribute_challenge import map_reduce
        >>> def words(line):
        ...     for word in line.split():
        ...         yield word, 1
        >>> lines = ["to be or not", "to be"]
        >>> dict(map_reduce(words, lines, fold=operator.add, sort=True))
        {'be': 2, 'not': 1, 'or': 1, 'to': 2}
        >>> def longest(first_letter, words):
        ...     return max(words, key=len)
        >>> dict(map_reduce(lambda word: [(word[0], word)], ["ape", "bat", "auk", "adder"], reducer=longest, sort=True))
        {'a': 'adder', 'b': 'bat'}
    """
    with folded:
        if (fold is None) is (reducer is None):
            got = "both" if fold is not None else "neither"
            raise OptionError(
                f"got {got} of fold and reducer, expected one of them: fold=operator.add makes one "
                f"value of two, reducer=f gets a key and all its values"
            )
        if combiner is not None and reducer is None:
            raise OptionError(
                "got combiner with fold, which combines values by itself: leave combiner out"
            )
        is_whole = isinstance(partitions, int) and not isinstance(partitions, bool)
        if partitions is not None and not (is_whole and partitions >= 1):
            raise OptionError(
                f"partitions={partitions!r}: expected a whole number of at least 1, or None"
            )
        _refuse_endless(items)
        base = mapper.options if isinstance(mapper, DistributableFunction) else CallOptions()
        call_options = base.updated(**options)
        plain_mapper = _plain(mapper, "mapper")
        engine = Prepared.of(plain_mapper, call_options).engine(backend)
        steps = Steps(
            plain_mapper,
            None if fold is None else _plain(fold, "fold"),
            None if reducer is None else _plain(reducer, "reducer"),
            None if combiner is None else _plain(combiner, "combiner"),
            None if key is None else _plain(key, "key"),
            partitions or _usual_partitions(engine.concurrency),
            bool(sort),
        )
        total = length_hint(items, -1)
        job = Job(
            steps,
            items,
            None if total < 0 else total,
            call_options,
            engine,
            backend,
            client_table=_client_table(fold, partitions),
            shows_progress=progress,
            made_at=place_of_caller(),
        )
        return KeyResults(job.pairs())


def _client_table(
    fold: Callable[[Any, Any], Any] | None, partitions: int | None
) -> ClientTable | None:
    """Return a table if the client may merge what calls give.

    It does not call functions of the user, which may need what only workers have, or run for long.
    """
    if isinstance(fold, BuiltinFunctionType) and partitions is None:
        return ClientTable(fold)
    return None


def _usual_partitions(processes: int) -> int:
    return max(1, processes, min(FOR_EACH * processes, MOST))


def _plain(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Return a function as workers call it.

    Raises:
        UnsupportedFunctionError: It cannot be called, or a call gives no value.
    """
    if not callable(function):
        raise UnsupportedFunctionError(f"{name}={function!r}: expected a function")
    if isinstance(function, DistributableFunction):
        function = functools.partial(function.__wrapped__, *function._prefix)
    if iscoroutinefunction(function) or isasyncgenfunction(function):
        raise UnsupportedFunctionError(
            f"{name}={function_name(function)}: it is an async function, and map_reduce calls plain "
            f"ones: write it without async, or gather what it awaits before, in an async map"
        )
    return function


def _refuse_endless(items: Iterable[Any]) -> None:
    is_endless = isinstance(items, count | cycle) or (
        isinstance(items, repeat) and length_hint(items, -1) < 0
    )
    if is_endless:
        raise CallError(
            f"got {type(items).__name__}, which never ends, and no result is there before the last "
            f"item: take some of its items, as in itertools.islice(items, 1000)"
        )
