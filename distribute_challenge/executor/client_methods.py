"""The methods of an executor that the standard library has not: those of Dask's ``Client``."""

import os
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from distribute_challenge.core.folding import folded
from distribute_challenge.core.futures import Future
from distribute_challenge.core.options import CallOptions
from distribute_challenge.errors import BackendError, CallCancelledError, OptionError
from distribute_challenge.execution_backends import sized
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.executor.calls import ExecutorCalls
from distribute_challenge.executor.uploads import importable_modules
from distribute_challenge.shared import put
from distribute_challenge.waiting import gather

__all__ = ["ClientMethods"]

_COLLECTIONS = (list, tuple, set, frozenset)


class ClientMethods:
    """What users of Dask's ``Client`` look for; the base class of `Executor`."""

    _calls: ExecutorCalls
    _engine: ExecutionBackend
    _inner_engine: ExecutionBackend
    _options: CallOptions
    _modules: frozenset[str]

    def scatter(self, data: Any, *, broadcast: bool = False) -> Any:
        """Send data to the cluster, once for all calls that will need it.

        Args:
            data: Lists, tuples, sets and dictionaries are sent item by item; anything else as a
                whole.
            broadcast: For programs that give it: every worker reaches the data in any case.

        Returns:
            A handle, as `put` returns it, to give to calls in place of the data; or handles, in a
                collection of the same kind.

        Raises:
            RuntimeError: `shutdown` was called.
            SerialisationError: The data cannot be pickled.
            SystemFailureError: The cluster cannot be reached, or has no room for the data.

        Examples:
            >>> from distribute_challenge import Executor
            >>> with Executor(backend="threads") as executor:
            ...     first, second = executor.scatter([[1, 2], [3]])
            ...     executor.submit(sum, first).result()
            3
        """
        with folded, self._in_use():
            if isinstance(data, dict):
                return {key: put(value, self._engine) for key, value in data.items()}
            if type(data) in _COLLECTIONS:
                return type(data)(put(each, self._engine) for each in data)
            return put(data, self._engine)

    def gather(self, futures: Any, errors: Literal["raise", "skip"] = "raise") -> Any:
        """Return the values of futures and handles, in the shape of what was given.

        Args:
            futures: Futures and handles of `scatter`, in lists, tuples, sets and dictionaries,
                which may be nested; or an iterator over such.
            errors: ``"raise"`` the first exception; or ``"skip"``: futures that have failed are
                left out of lists and sets, and are None elsewhere.

        Returns:
            The values; for an iterator, an iterator.

        Raises:
            OptionError: ``errors`` is another word.
            BaseException: The first exception that a call raised.

        Examples:
            >>> from distribute_challenge import Executor
            >>> with Executor(backend="threads") as executor:
            ...     futures = [executor.submit(int, text) for text in ["1", "two", "3"]]
            ...     executor.gather(futures, errors="skip")
            [1, 3]
        """
        with folded:
            if errors not in ("raise", "skip"):
                raise OptionError(f"errors={errors!r}: expected 'raise' or 'skip'")
            if isinstance(futures, Iterator):
                return (self.gather(each, errors) for each in futures)
            return gather(_succeeded(futures) if errors == "skip" else futures)

    def get(self, dsk: Any, keys: Any, **options: Any) -> Any:
        """Compute the values of keys of a Dask graph, also as ``scheduler=executor.get``.

        Args:
            dsk: As for `distribute_challenge.dask.get`.
            keys: As for `distribute_challenge.dask.get`.
            options: As for `distribute_challenge.dask.get`; they replace those of the executor.

        Returns:
            As `distribute_challenge.dask.get`.

        Raises:
            RuntimeError: `shutdown` was called.
            Exception: As `distribute_challenge.dask.get`.

        Examples:
            >>> from distribute_challenge import Executor
            >>> with Executor(backend="threads") as executor:
            ...     executor.get({"x": 1, "y": (max, "x", 2)}, "y")
            2
        """
        # Imported when they are used, here and below: Dask may not be installed.
        from distribute_challenge.dask import get

        with folded, self._in_use():
            return get(dsk, keys, backend=self._engine, **{**self._options.given(), **options})

    def compute(
        self, collections: Any, sync: bool = False, *, optimize_graph: bool = True, **options: Any
    ) -> Any:
        """Start to compute Dask collections, and return at once.

        Args:
            collections: An array, a bag, a dataframe or a delayed call; or a list of them.
            sync: Wait, and return values in place of futures.
            optimize_graph: Whether Dask optimizes the graph first.
            options: Options of `compute_this`; they replace those of the executor.

        Returns:
            The future of the value; for a list, a list of futures.

        Raises:
            RuntimeError: `shutdown` was called.
            CallError: One of them is no collection of Dask.
            SerialisationError: A task cannot be pickled.
            SystemFailureError: The backend cannot be reached.

        Examples:
            >>> import dask
            >>> from distribute_challenge import Executor
            >>> with Executor(backend="threads") as executor:
            ...     executor.compute(dask.delayed(sum)([1, 2, 3])).result()
            6
        """
        from distribute_challenge.dask import Client

        with folded:
            with self._in_use():
                client = Client(self._engine, **{**self._options.given(), **options})
                futures = client.compute(collections, optimize_graph=optimize_graph)
                for each in futures if isinstance(futures, list) else [futures]:
                    self._calls.futures.add(each)
            return gather(futures) if sync else futures

    def restart(self) -> None:
        """End the worker processes, and cancel all calls; the next call gets new processes.

        It works where this process has started them: the embedded cluster, a `LocalCluster`, and
        ``backend="processes"``. If the executor has no workers of its own (``max_workers``), calls
        that the program has made without it are cancelled, too.

        Raises:
            RuntimeError: `shutdown` was called.
            BackendError: The workers were started elsewhere, calls run in threads, or another
                executor uses these workers.
        """
        with folded, self._calls.submitting:
            self._calls.check()
            if sized.is_shared(self._inner_engine):
                raise BackendError(
                    "another executor of the same size uses these workers, and its calls would "
                    "end: shut it down first, or give this one a backend of its own, as in "
                    "Executor(backend=ProcessesExecutionBackend(4))"
                )
            self._engine.check_restart()
            # The last ones first, so that none of them begins in place of a cancelled one.
            for future in reversed(self._calls.futures.all()):
                future.cancel(force=True)
            self._engine.restart()

    def upload_file(self, path: str | os.PathLike[str]) -> None:
        """Let all calls import the modules of a file, under their own names.

        The modules that a function uses travel with it by themselves. This is for those that cannot
        be seen in its code, as with `importlib.import_module`, and for files outside of
        ``sys.path``, which become importable in this process, too. It holds for calls that are
        submitted from now on. If the file changes, later calls get it as it is then.

        Args:
            path: A module (``.py``), or an archive with modules and packages (``.zip``, ``.egg``).

        Raises:
            RuntimeError: `shutdown` was called.
            OptionError: There is no such file, it has no modules, or an import of their names finds
                others.
        """
        with folded, self._calls.submitting:
            self._calls.check()
            self._modules |= importable_modules(path)
            self._forget_functions()

    @abstractmethod
    def _forget_functions(self) -> None:
        """Pickle functions anew for the next calls."""

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        """Keep the engine open for a block, as for a call.

        Raises:
            RuntimeError: `shutdown` was called.
        """
        block: Future[None] = Future("a block")
        with self._calls.submitting:
            self._calls.check()
            self._calls.futures.add(block)
        try:
            yield
        finally:
            block.resolve(None)


def _succeeded(thing: Any) -> Any:
    """Return futures in their collections without those that fail, after waiting for them."""
    if isinstance(thing, Future):
        return None if _has_failed(thing) else thing
    if isinstance(thing, dict):
        return {key: _succeeded(value) for key, value in thing.items()}
    if type(thing) is tuple:
        return tuple(map(_succeeded, thing))
    if type(thing) in _COLLECTIONS:
        return type(thing)(
            _succeeded(each)
            for each in thing
            if not (isinstance(each, Future) and _has_failed(each))
        )
    return thing


def _has_failed(future: Future[Any]) -> bool:
    try:
        return future.exception() is not None
    except CallCancelledError:
        return True
