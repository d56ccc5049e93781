"""Wait for several calls: `gather`, `wait`, `as_completed`, `progress`.

They take futures, and calls that have not run: these are submitted first, together, so that a call
that several others need runs once.
"""

import concurrent.futures
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE
from queue import Empty, SimpleQueue
from typing import Any, Literal, NamedTuple

from distribute_challenge.core import clock
from distribute_challenge.core.folding import fold
from distribute_challenge.core.futures import Future
from distribute_challenge.core.lazy_future import LONGEST_WAIT
from distribute_challenge.core.progress_bar import ProgressBar
from distribute_challenge.distributable import Distributable
from distribute_challenge.errors import CallError, ResultTimeoutError
from distribute_challenge.execution_backends.registry import Choice
from distribute_challenge.graph.submission import Submission
from distribute_challenge.shared import Shared

__all__ = ["as_completed", "gather", "progress", "wait"]

ReturnWhen = Literal["ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION"]


class DoneAndNotDone(NamedTuple):
    """The futures that are done, and those that are not; `wait` returns it."""

    done: set[Future[Any]]
    not_done: set[Future[Any]]


def gather(
    *things: Any,
    return_exceptions: bool = False,
    timeout: float | None = None,
    backend: Choice = None,
) -> Any:
    """Return the values of futures, calls and handles, in the shape of what was given.

    Futures, calls and the handles of `put` may lie in lists, tuples, sets and dictionaries, which may be nested; anything
    else is returned as it is. Calls are submitted first, together. In a coroutine, write
    ``await gather(...)``: the event loop goes on meanwhile.

    Args:
        things: One thing, whose values are returned in its shape; or several, as a list.
        return_exceptions: Return an exception in the place of a value, in place of raising the
            first one.
        timeout: Seconds to wait for all of them; None waits for ever. Calls that this function has
            submitted are cancelled after that.
        backend: The backend of the calls; None: that of their functions, or the default one.

    Raises:
        ResultTimeoutError: A value is missing after ``timeout`` seconds.
        BaseException: The first exception that a call raised. Calls that this function has
            submitted are cancelled then.

    Examples:
        >>> from distribute_challenge import compute_this, gather
        >>> square = compute_this(lambda x: x * x, backend="threads")
        >>> gather([square(2), {"three": square(3)}, 4])
        [4, {'three': 9}, 4]
    """
    gathering = _Gathering(things, return_exceptions, backend)
    flags = sys._getframe(1).f_code.co_flags
    if flags & (CO_COROUTINE | CO_ASYNC_GENERATOR):
        return gathering.values_in_loop(timeout)
    try:
        return gathering.values(timeout)
    except BaseException as error:
        fold(error)
        raise


def wait(
    things: Iterable[Any],
    timeout: float | None = None,
    return_when: ReturnWhen = "ALL_COMPLETED",
    *,
    backend: Choice = None,
) -> DoneAndNotDone:
    """Wait until futures and calls have ended, as `concurrent.futures.wait` does.

    Args:
        things: Futures, and calls, which are submitted first, together.
        timeout: Seconds to wait; None waits for ever.
        return_when: ``"ALL_COMPLETED"``, ``"FIRST_COMPLETED"`` or ``"FIRST_EXCEPTION"``.
        backend: As for `gather`.

    Returns:
        The futures that are done, and those that are not.

    Examples:
        >>> from distribute_challenge import compute_this, wait
        >>> square = compute_this(lambda x: x * x, backend="threads")
        >>> done, not_done = wait([square(2), square(3)])
        >>> len(done), len(not_done)
        (2, 0)
    """
    futures = _submitted(things, backend)
    done, not_done = concurrent.futures.wait(futures, timeout, return_when)
    return DoneAndNotDone(done, not_done)  # type: ignore[arg-type] # they are what was given


def as_completed(
    things: Iterable[Any], timeout: float | None = None, *, backend: Choice = None
) -> Iterator[Future[Any]]:
    """Yield futures as they end, as `concurrent.futures.as_completed` does.

    Args:
        things: Futures, and calls, which are submitted first, together.
        timeout: Seconds to wait for all of them; None waits for ever.
        backend: As for `gather`.

    Raises:
        ResultTimeoutError: One is not done after ``timeout`` seconds.

    Examples:
        >>> from distribute_challenge import as_completed, compute_this
        >>> square = compute_this(lambda x: x * x, backend="threads")
        >>> sorted(future.result() for future in as_completed([square(2), square(3)]))
        [4, 9]
    """
    futures = _submitted(things, backend)
    return _as_they_end(futures, timeout)


def progress(
    things: Iterable[Any], timeout: float | None = None, *, backend: Choice = None
) -> list[Future[Any]]:
    """Show a bar until futures and calls have ended, with the number of those that failed.

    Args:
        things: Futures, and calls, which are submitted first, together.
        timeout: Seconds to wait for all of them; None waits for ever.
        backend: As for `gather`.

    Returns:
        The futures, in the order in which they were given.

    Raises:
        ResultTimeoutError: One is not done after ``timeout`` seconds.

    Examples:
        >>> from distribute_challenge import compute_this, progress
        >>> square = compute_this(lambda x: x * x, backend="threads")
        >>> [future.result() for future in progress([square(2), square(3)])]
        [4, 9]
    """
    futures = _submitted(things, backend)
    with ProgressBar(None, len(futures)) as bar:
        for future in _as_they_end(futures, timeout):
            timeline = future.timeline
            ran_for = 0.0 if timeline is None else timeline.running
            bar.update(1, not future.has_value(), ran_for)
    return futures


class _Gathering:
    """The futures and calls in some nested containers, and their values; `gather` makes one."""

    def __init__(self, things: tuple[Any, ...], return_exceptions: bool, backend: Choice) -> None:
        self._shape = things[0] if len(things) == 1 else list(things)
        self._return_exceptions = return_exceptions
        self._futures: dict[int, Future[Any]] = {}
        self._started: list[Future[Any]] = []
        with Submission(backend) as submission:
            self._collect(self._shape, submission)

    def values(self, timeout: float | None) -> Any:
        """Wait in this thread, and return the values."""
        try:
            for future in _as_they_end(list(self._futures.values()), timeout):
                self._check(future)
            return self._built(self._shape)
        except BaseException:
            self._cancel()
            raise

    async def values_in_loop(self, within: float | None) -> Any:
        """Wait while the event loop goes on, and return the values."""
        import asyncio  # A program that awaits has loaded it.

        futures = list(self._futures.values())
        ended: Future[None] = Future("gather")
        missing, lock = len(futures), threading.Lock()

        def note(future: Future[Any]) -> None:
            nonlocal missing
            with lock:
                missing -= 1
            if not missing or not (self._return_exceptions or future.has_value()):
                ended.resolve(None)

        for future in futures:
            future.when_done(note)
        try:
            if futures:
                try:
                    await asyncio.wait_for(asyncio.wrap_future(ended), within)
                except TimeoutError:
                    raise _late(missing, len(futures), within) from None
            for future in futures:
                if future.done():
                    self._check(future)
            return self._built(self._shape)
        except BaseException:
            self._cancel()
            raise

    def _cancel(self) -> None:
        for future in self._started:
            future.cancel(force=True)

    def _collect(self, thing: Any, submission: Submission) -> None:
        if isinstance(thing, Future):
            self._futures[id(thing)] = thing
        elif isinstance(thing, Distributable):
            future = self._futures[id(thing)] = submission.submit(thing)
            self._started.append(future)
        elif isinstance(thing, dict):
            self._collect(list(thing.values()), submission)
        elif isinstance(thing, list | tuple | set | frozenset):
            for part in thing:
                self._collect(part, submission)

    def _check(self, future: Future[Any]) -> None:
        if not self._return_exceptions:
            future.result()

    def _built(self, thing: Any) -> Any:
        if isinstance(thing, Future | Distributable):
            return self._value(self._futures[id(thing)])
        if isinstance(thing, Shared):
            return thing.get()
        if isinstance(thing, dict):
            return {key: self._built(part) for key, part in thing.items()}
        if isinstance(thing, tuple) and hasattr(thing, "_fields"):
            return type(thing)(*map(self._built, thing))
        for kind in (list, tuple, set, frozenset):
            if isinstance(thing, kind):
                return kind(map(self._built, thing))
        return thing

    def _value(self, future: Future[Any]) -> Any:
        if not self._return_exceptions:
            return future.result()
        try:
            return future.result()
        except BaseException as error:
            return error


def _submitted(things: Iterable[Any], backend: Choice) -> list[Future[Any]]:
    """Return the futures of futures and calls."""
    futures = []
    with Submission(backend) as submission:
        for thing in things:
            if isinstance(thing, Distributable):
                futures.append(submission.submit(thing))
            elif isinstance(thing, Future):
                futures.append(thing)
            else:
                raise CallError(
                    f"got {thing!r} of type {type(thing).__name__}, expected a future, as "
                    f"submit() returns it, or a call that has not run"
                )
    return futures


def _as_they_end(futures: Sequence[Future[Any]], timeout: float | None) -> Iterator[Future[Any]]:
    ends = None if timeout is None else clock.monotonic() + timeout
    ended: SimpleQueue[Future[Any]] = SimpleQueue()
    unique = list(dict.fromkeys(futures))
    for future in unique:
        future.when_done(ended.put)
    missing = len(unique)
    while missing:
        left = LONGEST_WAIT if ends is None else ends - clock.monotonic()
        try:
            future = ended.get(timeout=max(0.0, min(left, LONGEST_WAIT)))
        except Empty:
            if left <= 0:
                raise _late(missing, len(unique), timeout) from None
            continue
        missing -= 1
        yield future


def _late(missing: int, total: int, timeout: float | None) -> ResultTimeoutError:
    return ResultTimeoutError(
        f"{missing} of {total} calls gave no result within timeout={timeout:g} s; give them more "
        f"time, or use submit() to come back later"
    )
