"""The calls of an executor's `map`: in chunks there, and as results back.

items ──► `divided` ──► calls of `run_chunk`, on workers ──► `results_of` ──► the caller
"""

from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from itertools import islice
from typing import Any

from distribute_challenge.core import clock
from distribute_challenge.core.folding import fold
from distribute_challenge.core.futures import Future
from distribute_challenge.core.outcome import add_note
from distribute_challenge.core.signature import call_text
from distribute_challenge.errors import ResultTimeoutError

__all__ = ["divided", "results_of", "run_chunk"]


def divided(
    calls: Iterator[tuple[Any, ...]], size: int
) -> Iterator[tuple[int, list[tuple[Any, ...]]]]:
    """Yield the items of a map in chunks, each with the number of its first item."""
    first = 0
    while chunk := list(islice(calls, size)):
        yield first, chunk
        first += size


def run_chunk(
    fn: Callable[..., Any], name: str, first: int, calls: Iterable[tuple[Any, ...]]
) -> list[Any]:
    """Run the calls of a chunk, on a worker."""
    results = []
    for number, args in enumerate(calls, first):
        try:
            value = fn(*args)
            if isinstance(value, Coroutine):
                # Imported late, as everywhere: it imports asyncio.
                from distribute_challenge.execution.coroutines import run_to_completion

                value = run_to_completion(value, None)
        except BaseException as error:
            add_note(error, f"item {number}: {call_text(name, args, {})}")
            raise
        results.append(value)
    return results


def results_of(
    futures: deque[Future[Any]],
    following: Iterator[Future[Any]],
    timeout: float | None,
    ends: float | None,
    *,
    chunked: bool,
) -> Iterator[Any]:
    """Yield the results of a map.

    Args:
        futures: Its calls, in order.
        following: Submits one more call each time; empty if all are submitted.
        timeout: Seconds to wait for each result, counted from the call of `map`; None: for ever.
        ends: The end of this time, in seconds of the monotonic clock.
        chunked: Whether each call gives a list of results.
    """
    try:
        while futures:
            another = next(following, None)
            if another is None:
                following = iter(())  # Not asked again: that would consume another item.
            else:
                futures.append(another)
            # No variable refers to a result while the caller has it.
            if chunked:
                values = _value(futures.popleft(), timeout, ends)
                values.reverse()
                while values:
                    yield values.pop()
            else:
                yield _value(futures.popleft(), timeout, ends)
    except BaseException as error:
        fold(error)
        raise
    finally:
        for future in reversed(futures):
            future.cancel()


def _value(future: Future[Any], timeout: float | None, ends: float | None) -> Any:
    try:
        return future.result(None if ends is None else max(0.0, ends - clock.monotonic()))
    except ResultTimeoutError:
        if future.done():
            raise  # The call itself raised it.
        raise ResultTimeoutError(
            f"no result of {future.name} within timeout={timeout:g} s, counted from the call of "
            f"map; calls that have not begun were cancelled"
        ) from None
    finally:
        future.cancel()
        # An exception must not keep the future alive by its traceback.
        del future
