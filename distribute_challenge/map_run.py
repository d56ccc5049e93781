"""Runs a map: waits for its chunks, and hands out their results, to a thread or to a coroutine.

    Mapping.due ──► a finished chunk ──► its results, one by one
        │ nothing yet
        └─ wait for a completion, `Mapping.take` it, and ask again

The consumer drives the map: nothing happens before the first result is asked for, and no more calls
are sent than keep the engine busy until the next one.

A coroutine only waits for chunks. What may take long in between (to read the source, to pickle, to
start a cluster, or to run the calls on an engine that does so when they are submitted) happens in a
thread of the event loop's executor.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from math import inf
from queue import Empty, SimpleQueue
from typing import Any

from distribute_challenge.core import clock, running_maps
from distribute_challenge.core.chunk import Chunk, note_items
from distribute_challenge.core.folding import fold, folded
from distribute_challenge.core.forks import generation, renew_in_children
from distribute_challenge.core.lazy_future import LONGEST_WAIT
from distribute_challenge.core.map_options import MapOptions
from distribute_challenge.core.never_run import HAS_RUN
from distribute_challenge.core.outcome import Failure
from distribute_challenge.core.progress_bar import ProgressBar
from distribute_challenge.errors import CallError, ResultTimeoutError, ResultUnavailableError
from distribute_challenge.mapping import Mapping

__all__ = ["END", "Completions", "MapRun"]

#: What `MapRun.next_value` returns after the last result.
END = object()


class Completions:
    """The chunks of a map whose futures are done, and that nothing has taken yet.

    Guarantees: any thread may `put`; one thread at a time takes chunks, or waits.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[Chunk] = SimpleQueue()
        self._wake: Callable[[], object] | None = None

    def put(self, chunk: Chunk) -> None:
        """Add a chunk; it neither blocks nor raises."""
        self._queue.put(chunk)
        wake = self._wake
        if wake is not None:
            with suppress(RuntimeError):  # The loop was closed, and the wait is over.
                wake()

    def get(self, timeout: float) -> Chunk:
        """Wait for a chunk in this thread, and remove it.

        Args:
            timeout: Seconds.

        Raises:
            queue.Empty: There is none in time.
        """
        return self._queue.get(timeout=timeout)

    def all(self) -> Iterator[Chunk]:
        """Remove and yield the chunks that there are."""
        while not self._queue.empty():
            yield self._queue.get()

    async def wait(self, within: float | None) -> None:
        """Wait until there is a chunk, while the event loop goes on.

        Args:
            within: Seconds; None: for ever.

        Raises:
            TimeoutError: There is none in time.
        """
        import asyncio  # A program that awaits has loaded it.

        came, loop = asyncio.Event(), asyncio.get_running_loop()
        self._wake = lambda: loop.call_soon_threadsafe(came.set)
        try:
            if self._queue.empty():
                await asyncio.wait_for(came.wait(), within)
        finally:
            self._wake = None


class MapRun:
    """One run of a map; `MapResults` has one.

    Args:
        mapping: The chunks of the map.
        completions: Where it puts those that are done.
        options: The options of the map.

    Attributes:
        done: Number of results that it has handed out.
        failed: How many of them are failures.

    Guarantees:

    - The results are those of `values` or of `next_value`; to use both is an error.
    - ``_step`` is held while `Mapping` is used by a coroutine's thread. `close` does not wait for
      it: the thread then closes the mapping when it is done with its step.
    """

    def __init__(self, mapping: Mapping, completions: Completions, options: MapOptions) -> None:
        self._mapping = mapping
        self._completions = completions
        self._options = options
        self._driver = ""  # How the results are asked for.
        self._generation = generation[0]
        self._ends = inf  # Seconds of the monotonic clock.
        self._bar: ProgressBar | None = None
        self.done = self.failed = 0
        self._number = 0  # Of this map, among those that are shown.
        self._ready: deque[Any] = deque()
        self._error: BaseException | None = None  # To be raised after the results in `_ready`.
        self._is_waiting = self._is_closed = self._stops = False
        self.renew_locks()
        renew_in_children(self)

    def renew_locks(self) -> None:
        self._step = threading.Lock()

    # As a `RunningMap`.

    @property
    def name(self) -> str:
        """The name of the function."""
        return self._mapping.name

    @property
    def queue(self) -> str:
        """The queue of its calls."""
        return self._mapping.queue

    @property
    def sender(self) -> Any:
        """What sends its calls."""
        return self._mapping.sender

    @property
    def total(self) -> int | None:
        """The number of calls; None if it is unknown."""
        return self._mapping.total

    @property
    def unsent(self) -> int:
        """Number of its calls that the engine does not have yet, as far as is known."""
        return self._mapping.unsent

    def values(self) -> Iterator[Any]:
        """Yield the results; this thread waits for them.

        When the iterator is closed or deleted, calls that have not begun are cancelled; Ctrl+C also
        stops running calls.
        """
        with folded:
            self._begin("for")  # An error of it does not end a loop of the other kind.
        try:
            while True:
                found = self._mapping.due()
                if found is not None:
                    yield from self._checked(*found)
                    if self._error is not None:
                        raise self._error
                elif self._mapping.is_over:
                    return
                else:
                    self._mapping.take(self._completed())
        except BaseException as error:
            self._stops = isinstance(error, KeyboardInterrupt)
            fold(error)
            raise
        finally:
            self._error = None
            self.close()

    def facts(self) -> str:
        """Return which function it calls, and how far it has come, as text."""
        total = self._mapping.total
        so_far = f"{self.done:,}" + ("" if total is None else f" of {total:,}") + " results"
        failed = f", {self.failed:,} failed" if self.failed else ""
        state = "" if self._driver else ", not begun"
        return f"{self._mapping.name}, {so_far}{failed}{', ended' if self._is_closed else state}"

    async def next_value(self) -> Any:
        """Return the next result, or `END`; the event loop goes on meanwhile."""
        if self._is_waiting:
            raise CallError(
                "this map is waited for by another task already: let one task iterate it, and "
                "give the results to others"
            )
        self._begin("async for")
        self._is_waiting = True
        try:
            while not self._ready:
                if self._error is not None:
                    error, self._error = self._error, None
                    raise _plain(error)
                if self._is_closed or not await self._more():
                    self.close()
                    return END
            return self._ready.popleft()
        except BaseException:
            self.close()
            raise
        finally:
            self._is_waiting = False

    def close(self) -> None:
        """Cancel the calls that have not begun, and end the run."""
        self._is_closed = True
        running_maps.end(self._number)
        if self._bar is not None:
            self._bar.close()
        # If it is held, the thread that holds it does the rest.
        if self._step.acquire(blocking=False):
            try:
                self._ready.clear()
                self._mapping.cancel(force=self._stops)
            finally:
                self._step.release()

    def _begin(self, driver: str) -> None:
        if self._driver == driver:
            return
        if self._driver:
            raise CallError(
                f"this map is iterated by `{self._driver}` already, and cannot be by `{driver}`: "
                f"make another map"
            )
        self._driver, self._mapping.at_deletion = driver, HAS_RUN
        self._number = running_maps.add(self)
        if self._options.progress:
            self._bar = ProgressBar(self._mapping.name, self._mapping.total)
        if self._options.timeout is not None:
            self._ends = clock.monotonic() + self._options.timeout

    def _checked(self, chunk: Chunk, outcomes: Sequence[Any]) -> Sequence[Any]:
        """Return the results of a chunk; an exception to be raised after them is ``_error``."""
        failed = list(map(type, outcomes)).count(Failure)
        self.done += len(outcomes)
        self.failed += failed
        if self._bar is not None:
            self._bar.update(len(outcomes), failed, chunk.seconds)
        if not failed:
            return outcomes
        note_items(chunk, outcomes, self._mapping.name)
        if self._options.on_error == "return":
            return [each.error if type(each) is Failure else each for each in outcomes]
        first = [type(each) for each in outcomes].index(Failure)
        self._error = outcomes[first].error
        return outcomes[:first]

    def _completed(self) -> Chunk:
        """Wait for a chunk in this thread."""
        while True:
            left = self._ends - clock.monotonic()
            try:
                return self._completions.get(max(0.0, min(left, LONGEST_WAIT)))
            except Empty:
                if left <= 0:
                    raise self._late() from None
                if self._generation != generation[0]:
                    raise ResultUnavailableError(
                        f"a map of {self._mapping.name} was begun by the process that this one "
                        f"was forked from, and its "
                        f"results go there; begin another one in this process"
                    ) from None

    async def _more(self) -> bool:
        """Wait for further results, which are in ``_ready`` then; False: the map is over."""
        import asyncio

        try:
            while (found := await asyncio.to_thread(self._advance)) is None:
                if self._error is not None:
                    return True
                if self._mapping.is_over:
                    return False
                left = None if self._ends == inf else max(0.0, self._ends - clock.monotonic())
                try:
                    await self._completions.wait(left)
                except TimeoutError:
                    raise self._late() from None
        except asyncio.CancelledError:
            self._stops = True  # So ends Ctrl+C, too, in a program that `asyncio.run` runs.
            raise
        self._ready.extend(self._checked(*found))
        return True

    def _advance(self) -> tuple[Chunk, Sequence[Any]] | None:
        """Take the chunks that are done, and return the next one that is due; in a thread.

        An exception is ``_error``: asyncio would not pass each of them on.
        """
        try:
            with self._step:
                if not self._is_closed:
                    for chunk in self._completions.all():
                        self._mapping.take(chunk)
                    return self._mapping.due()
        except BaseException as error:
            self._error = error
        finally:
            if self._is_closed:
                self.close()
        return None

    def _late(self) -> ResultTimeoutError:
        return self._options.late(self._mapping.name)


def _plain(error: BaseException) -> BaseException:
    """Return an error that a coroutine can raise without ending the loop of its caller silently."""
    if isinstance(error, StopAsyncIteration):
        stopped = RuntimeError("a call of the map raised StopAsyncIteration")
        stopped.__cause__ = error
        return stopped
    return error
