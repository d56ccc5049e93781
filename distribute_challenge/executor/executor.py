"""`Executor`: what users touch of the interface of the standard library's executors."""

import concurrent.futures
import weakref
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any, NamedTuple, ParamSpec, TypeVar, Unpack, overload

from distribute_challenge.core import clock
from distribute_challenge.core.folding import fold, folded
from distribute_challenge.core.futures import Future
from distribute_challenge.core.options import CallOptions
from distribute_challenge.core.recording import recorded
from distribute_challenge.core.setup import Setup
from distribute_challenge.core.units import amount
from distribute_challenge.distributable import Distributable, Prepared
from distribute_challenge.errors import OptionError, SerialisationError
from distribute_challenge.execution_backends.limited import LimitedBackend
from distribute_challenge.execution_backends.registry import Choice
from distribute_challenge.executor.arguments import (
    check_number,
    check_options,
    chosen,
    with_initializer,
)
from distribute_challenge.executor.calls import ExecutorCalls
from distribute_challenge.executor.client_methods import ClientMethods
from distribute_challenge.executor.items import divided, results_of, run_chunk
from distribute_challenge.function import CallSettings, DistributableFunction
from distribute_challenge.serialisation import SAME_BURST
from distribute_challenge.serialisation.tasks import single_task

__all__ = ["Executor"]

P = ParamSpec("P")
R = TypeVar("R")

# Functions that are kept pickled while their calls are open; a guess at how many one loop submits.
KEPT_FUNCTIONS = 16


class Executor(ClientMethods, concurrent.futures.Executor):
    """Runs calls on a cluster, by the interface of `concurrent.futures`.

    Put it in the place of a `ProcessPoolExecutor` or `ThreadPoolExecutor`. What differs is in
    docs/executor.md: above all, a call whose process dies is tried again, and if it fails, the
    executor goes on.

    Args:
        max_workers: How many calls run at the same time. Where this process chooses the number of
            workers (an embedded cluster, ``backend="processes"``, ``backend="threads"``), it has so
            many; of a cluster that is there, no more are used. None: all that there are. Or the
            address of a cluster, as in ``Executor("redis://host")``.
        backend: Name of a backend, the backend itself, or the address of a cluster; None: the
            default one.
        initializer: A function that each worker process runs once, before the first call of this
            executor. If it raises, all calls fail with `SetupError`, and further ones are refused.
        initargs: The positional arguments of ``initializer``.
        options: The options of all calls, as `compute_this` takes them.

    Raises:
        ValueError: ``max_workers`` is below 1.
        OptionError: An option has a value that it cannot have, or the backend does not keep it.
        BackendError: There is no such backend.

    Guarantees:

    - A call that was submitted is run, unless it is cancelled: also after `shutdown`, and at the
      end of the program, which waits for it.
    - No call is submitted after `shutdown`, or after the executor broke.

    Examples:
        >>> from distribute_challenge import Executor
        >>> with Executor(max_workers=2) as executor:
        ...     future = executor.submit(pow, 2, 10)
        ...     print(future.result(), list(executor.map(abs, [-1, -2])))
        1024 [1, 2]
    """

    def __init__(
        self,
        max_workers: int | str | None = None,
        *,
        backend: Choice = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        **options: Unpack[CallSettings],
    ) -> None:
        with folded:
            if isinstance(max_workers, str):
                if backend is not None:
                    raise OptionError(
                        f"got the address {max_workers!r} and backend={backend!r}: give one of them"
                    )
                max_workers, backend = None, max_workers
            check_number("max_workers", max_workers)
            self._options = CallOptions(**options)
            self._options, key = with_initializer(self._options, initializer, initargs)
            engine, limit, release = chosen(max_workers, backend)
            try:
                check_options(engine, self._options, limit)
            except OptionError:
                if release is not None:
                    release()
                raise
            limited, self._inner_engine = None, engine
            if limit is not None or key:
                engine = limited = LimitedBackend(engine, limit)
        self._calls = ExecutorCalls(limited, key, release)
        self._engine = engine
        self._workers = max_workers
        self._modules: frozenset[str] = frozenset()
        self._functions: dict[int, _Function] = self._calls.functions
        # Without a reference to the executor: it is deleted as soon as the program drops it.
        weakref.finalize(self, self._calls.shut).atexit = False

    @property
    def _max_workers(self) -> int:
        # Libraries that accept any executor read it to decide how many calls to make of their work.
        return self._workers or self._engine.concurrency

    @property
    def _broken(self) -> bool:
        # Under the name that it has in the standard library.
        return self._calls.broken is not None

    @overload
    def submit(
        self, fn: DistributableFunction[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[R]: ...

    @overload
    def submit(
        self, fn: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[R]: ...

    @overload
    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]: ...

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Start a call and return at once.

        Args:
            fn: The function; one that `compute_this` has made keeps its own options, where the
                executor has none.
            args: Its positional arguments. A future or a call anywhere in the arguments stands for
                its value.
            kwargs: Its keyword arguments.

        Returns:
            The future of the call. If the arguments cannot be pickled, it fails with
            `SerialisationError`, as in the standard library.

        Raises:
            RuntimeError: `shutdown` was called, or the program is ending.
            SetupError: The initializer has failed.
            SystemFailureError: The broker or the embedded cluster cannot be reached.
        """
        try:
            return self._submitted(self._kept(fn), args, kwargs)
        except BaseException as error:
            fold(error)
            raise

    @overload
    def map(
        self,
        fn: DistributableFunction[..., R],
        *iterables: Iterable[Any],
        timeout: float | None = ...,
        chunksize: int = ...,
        buffersize: int | None = ...,
    ) -> Iterator[R]: ...

    @overload
    def map(
        self,
        fn: Callable[..., Coroutine[Any, Any, R]],
        *iterables: Iterable[Any],
        timeout: float | None = ...,
        chunksize: int = ...,
        buffersize: int | None = ...,
    ) -> Iterator[R]: ...

    @overload
    def map(
        self,
        fn: Callable[..., R],
        *iterables: Iterable[Any],
        timeout: float | None = ...,
        chunksize: int = ...,
        buffersize: int | None = ...,
    ) -> Iterator[R]: ...

    def map(
        self,
        fn: Callable[..., Any],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[Any]:
        """Call a function on each item, as the built-in `map` does, on all workers.

        All calls are submitted at once, unless ``buffersize`` is given. For maps that are lazy and
        choose the size of messages by themselves, see `DistributableFunction.map`.

        Args:
            fn: As for `submit`.
            iterables: One for each parameter; the map ends with the shortest.
            timeout: Seconds to wait for each result, counted from now; None waits for ever.
            chunksize: Number of items that one call takes together.
            buffersize: How many calls are submitted before their results are asked for; None: all.

        Returns:
            An iterator over the results, in the order of the items. When it is closed or deleted,
            or raises, calls that have not begun are cancelled.

        Raises:
            ValueError: ``chunksize`` or ``buffersize`` is below 1.
            ResultTimeoutError: There is no result in time.
            BaseException: The exception that a call raised.

        Examples:
            >>> from distribute_challenge import Executor
            >>> with Executor(backend="threads") as executor:
            ...     list(executor.map(pow, range(5), range(5), chunksize=2))
            [1, 1, 4, 27, 256]
        """
        with folded:
            check_number("chunksize", chunksize)
            check_number("buffersize", buffersize)
            ends = None if timeout is None else clock.monotonic() + timeout
            calls: Iterator[tuple[Any, ...]] = zip(*iterables, strict=False)
            kept = self._kept(fn)
            if chunksize > 1:
                kept = self._kept_chunks(kept)
                calls = divided(calls, chunksize)
            submit = partial(self._submitted, kept, kwargs={})
            futures = deque(map(submit, islice(calls, buffersize)))
        following = iter(()) if buffersize is None else map(submit, calls)
        return results_of(futures, following, timeout, ends, chunked=chunksize > 1)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Refuse further calls, and free what the executor uses once its calls have ended.

        Args:
            wait: Wait until then.
            cancel_futures: Cancel the calls that no worker has begun, or could begin at once.
        """
        with folded:
            with self._calls.submitting:
                self._calls.shut()
            if cancel_futures:
                futures = self._calls.futures.all()
                # The last ones first, so that none of them begins in place of a cancelled one.
                for future in reversed(futures[self._max_workers :] if futures else ()):
                    future.cancel()
            if wait:
                self._calls.wait()

    def __repr__(self) -> str:
        facts = [] if self._workers is None else [amount(self._workers, "worker")]
        facts += [repr(self._inner_engine), self._calls.facts()]
        return f"{type(self).__name__}({', '.join(facts)})"

    def _kept(self, fn: Callable[..., Any]) -> "_Function":
        """Return a function as it is submitted, from the latest ones if it is among them."""
        kept = self._functions.get(id(fn))
        if kept is None:
            plain = _plain(fn)
            kept = _Function(fn, plain, self._prepared(plain, self._options_of(fn)))
            self._functions[id(fn)] = kept
            if len(self._functions) > KEPT_FUNCTIONS:
                self._functions.pop(next(iter(self._functions), 0), None)
        return kept

    def _kept_chunks(self, kept: "_Function") -> "_Function":
        """Return a function that runs several calls of another one."""
        name = kept.prepared.name
        run = partial(run_chunk, kept.plain, name)
        run.__name__ = name  # type: ignore[attr-defined] # for messages
        return _Function(run, run, self._prepared(run, kept.prepared.options))

    def _prepared(self, fn: Callable[..., Any], options: CallOptions) -> Prepared:
        prepared = Prepared.of(fn, options, self._modules)
        prepared.engine(self._engine)  # Checks the options, once for all calls.
        return prepared

    def _forget_functions(self) -> None:
        self._functions.clear()

    def _options_of(self, fn: Callable[..., Any]) -> CallOptions:
        if not isinstance(fn, DistributableFunction):
            return self._options
        if fn.options.setup is not None and isinstance(self._options.setup, Setup):
            raise OptionError(
                f"{fn.__name__} has a setup, and this executor an initializer: leave one of them "
                f"out, as in {fn.__name__}.with_options(setup=None)"
            )
        return fn.options.updated(**self._options.given())

    def _submitted(
        self, kept: "_Function", args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Future[Any]:
        # As `Distributable.submit`, without what it does once more for each call.
        prepared, engine = kept.prepared, self._engine
        with self._calls.submitting:
            self._calls.check()
            try:
                task = single_task(
                    prepared.portable,
                    prepared.name,
                    args,
                    kwargs,
                    prepared.options,
                    engine.depot,
                    within=SAME_BURST,
                    shares_files=engine.shares_files,
                )
                if task.needs:
                    call: Distributable[Any] = Distributable(kept.plain, args, kwargs, prepared)
                    future = call.submit_graph(task, engine, engine)
                else:
                    future = recorded(task, engine.submit(task))
            except SerialisationError as error:
                future = Future(kept.prepared.name)
                future.fail(error)
            self._calls.futures.add(future)
        return future


class _Function(NamedTuple):
    """A function of an executor: as it was given, undecorated, and pickled."""

    given: Callable[..., Any]
    plain: Callable[..., Any]
    prepared: Prepared


def _plain(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function without its decorator."""
    if not isinstance(fn, DistributableFunction):
        return fn
    return partial(fn.__wrapped__, *fn._prefix) if fn._prefix else fn.__wrapped__
