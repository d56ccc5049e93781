"""`Client`: computes Dask collections without waiting, and keeps their values on the cluster."""

from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Self, overload

from distribute_challenge.core.folding import folded
from distribute_challenge.core.futures import Future
from distribute_challenge.dask.persisted import node_of
from distribute_challenge.dask.scheduler import get, options_of, started
from distribute_challenge.dask.task_spec import (
    Key,
    compute,
    config,
    is_dask_collection,
    persist,
)
from distribute_challenge.errors import CallError
from distribute_challenge.execution_backends.registry import Choice

__all__ = ["Client"]


class Client:
    """Computes Dask collections on a backend; Dask takes it as ``scheduler=``.

    In a ``with`` block, it is the scheduler of all Dask collections of the process.

    Args:
        backend: As for `Distributable.compute`.
        options: Options of `compute_this` for all calls.

    Raises:
        OptionError: An option is unknown or out of range.

    Examples:
        >>> import dask
        >>> from distribute_challenge.dask import Client
        >>> total = dask.delayed(sum)([1, 2, 3])
        >>> with Client() as client:
        ...     total.compute()
        ...     client.compute(total).result()
        ...     kept = total.persist()
        6
        6
        >>> dask.delayed(abs)(kept).compute(scheduler=client)
        6
    """

    #: Dask asks for it: whether `get` would have to be awaited.
    asynchronous = False

    def __init__(self, backend: Choice = None, **options: Any) -> None:
        with folded:
            options_of(options)
        self._options = {"backend": backend, **options}
        self._config: Any = None

    def get(self, dsk: Any, keys: Any, **options: Any) -> Any:
        """Compute the values of keys of a Dask graph, as the function `get` does.

        Args:
            dsk: As for the function.
            keys: As for the function.
            options: As for the function; they replace those of the client.
        """
        with folded:
            return get(dsk, keys, **{**self._options, **options})

    @overload
    def compute(
        self,
        collections: list[Any] | tuple[Any, ...],
        *,
        optimize_graph: bool = ...,
        **options: Any,
    ) -> list[Future[Any]]: ...

    @overload
    def compute(
        self, collections: Any, *, optimize_graph: bool = ..., **options: Any
    ) -> Future[Any]: ...

    def compute(
        self, collections: Any, *, optimize_graph: bool = True, **options: Any
    ) -> Future[Any] | list[Future[Any]]:
        """Start to compute collections, and return at once.

        Args:
            collections: A collection, or a list of collections.
            optimize_graph: Whether Dask optimizes the graph first.
            options: Options of `compute_this`; they replace those of the client.

        Returns:
            The future of the value, such as an array or a dataframe; for a list, a list of futures.

        Raises:
            CallError: One of them is no collection of Dask.
            SerialisationError: A task cannot be pickled.
            SystemFailureError: The backend cannot be reached.
        """
        with folded:
            scheduler = partial(started, **{**self._options, **options})
            futures: Future[Any] | list[Future[Any]] = _done_with(
                compute, collections, optimize_graph=optimize_graph, scheduler=scheduler
            )
            return futures

    def persist(self, collections: Any, *, optimize_graph: bool = True, **options: Any) -> Any:
        """Start to compute collections, and keep their values for further computations.

        ``collection.persist()`` calls it if the client is the scheduler. The values are kept as
        long as a collection refers to them.

        Args:
            collections: A collection, or a list of collections.
            optimize_graph: Whether Dask optimizes the graph first.
            options: Options of `compute_this`; they replace those of the client.

        Returns:
            A collection of the same kind; for a list, a list of collections.

        Raises:
            CallError: One of them is no collection of Dask.
            SerialisationError: A task cannot be pickled.
            SystemFailureError: The backend cannot be reached.
        """
        with folded:
            scheduler = partial(_kept, **{**self._options, **options})
            return _done_with(
                persist, collections, optimize_graph=optimize_graph, scheduler=scheduler
            )

    def __enter__(self) -> Self:
        self._config = config.set(scheduler=self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._config.__exit__(kind, error, traceback)


def _kept(dsk: Any, keys: list[Key], **options: Any) -> list[Any]:
    """Return a node for each key, in place of the value that Dask asks a scheduler for."""
    futures = started(dsk, keys, **options)
    return [node_of(key, future) for key, future in zip(keys, futures, strict=True)]


def _done_with(do: Callable[..., Any], collections: Any, **options: Any) -> Any:
    """Have Dask do something with collections: one result for one, a list for a list."""
    several = isinstance(collections, list | tuple)
    asked = list(collections) if several else [collections]
    _check(asked)
    results = do(*asked, traverse=False, **options)
    return list(results) if several else results[0]


def _check(collections: list[Any]) -> None:
    for each in collections:
        if not is_dask_collection(each):
            raise CallError(
                f"got {each!r} of type {type(each).__name__}, expected a collection of Dask: an "
                f"array, a bag, a dataframe or a delayed call"
            )
