"""Many calls of one function: lazily, in chunks, with a bounded number on their way.

    source iterables --> chunks --> engine --> completions --> results, in order or as they come

The consumer drives: nothing happens before the first ``next``, and nothing more is sent than keeps the engine busy while the
consumer is away. A chunk whose calls turn out slow comes back half done; its rest is cut into smaller chunks, which
take its place.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from operator import length_hint
from queue import SimpleQueue
from typing import Any, Literal

from distribute_challenge.attempt import Attempt
from distribute_challenge.batching import BatchSizer, window
from distribute_challenge.distributable import Prepared
from distribute_challenge.errors import (
    OptionError,
    SerialisationError,
    SystemFailureError,
    TaskLostError,
    WorkerLostError,
)
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.futures import Future
from distribute_challenge.messages import Task
from distribute_challenge.outcome import Failure
from distribute_challenge.tasks import hold_of, packed_chunk, values_of

__all__ = ["Mapping", "OnError"]

OnError = Literal["raise", "return"]

AHEAD = 4  # Finished chunks kept for an ordered map, in multiples of the number in flight, while one is late.


class Mapping:
    """One run of a map.

    Args:
        prepared: The function.
        backend: The engine.
        calls: Argument tuples, pulled when needed.
        total: How many there are, or None if nobody knows.
        ordered: Results in the order of the calls; else as they come.
        on_error: ``"raise"`` the first exception, or ``"return"`` exceptions in place of values.
        progress: Show a bar.
        batch_size: Calls in each chunk; None: adapted to how long they take.

    Raises:
        OptionError: A value is out of its range.
    """

    def __init__(
        self,
        prepared: Prepared,
        backend: ExecutionBackend,
        calls: Iterable[tuple[Any, ...]],
        *,
        total: int | None,
        ordered: bool,
        on_error: OnError,
        progress: bool,
        batch_size: int | None,
    ) -> None:
        if on_error not in ("raise", "return"):
            raise OptionError(f"on_error={on_error!r}: expected 'raise' or 'return'")
        if batch_size is not None and (not isinstance(batch_size, int) or batch_size < 1):
            raise OptionError(f"batch_size={batch_size!r}: expected a whole number of at least 1, or None")
        self._prepared = prepared
        self._backend = backend
        self._source = iter(calls)
        self._total = total
        self._ordered = ordered
        self._on_error = on_error
        self._progress = progress
        self._batch_size = batch_size
        self._function = prepared.portable.payload(find_depot=backend.depot)
        # The function may change meanwhile: what this version of it captures stays for as long as the map takes.
        self._hold = hold_of(self._function, backend.depot)
        self._sizer = BatchSizer()
        self._taken = 0
        self._exhausted = False
        self._source_error: Exception | None = None
        self._order: deque[_Chunk] = deque()
        self._unsent: deque[_Chunk] = deque()
        self._in_flight = 0
        self._completions: SimpleQueue[_Chunk] = SimpleQueue()

    def results(self) -> Iterator[Any]:
        """The results. Closing or dropping the iterator cancels what has not begun; Ctrl+C also what runs."""
        bar = _progress_bar(self._prepared.name, self._total) if self._progress else None
        try:
            for outcomes in self._outcomes():
                if bar is not None:
                    bar.update(len(outcomes))
                if Failure not in map(type, outcomes):
                    yield from outcomes
                elif self._on_error == "return":
                    yield from (outcome.error if type(outcome) is Failure else outcome for outcome in outcomes)
                else:
                    first = [type(outcome) for outcome in outcomes].index(Failure)
                    yield from outcomes[:first]
                    raise outcomes[first].error
        except KeyboardInterrupt:
            self._cancel(force=True)
            raise
        finally:
            if bar is not None:
                bar.close()
            self._cancel()

    def _outcomes(self) -> Iterator[list[Any]]:
        self._fill()
        while self._order:
            chunk = self._next()
            outcomes = self._settled(chunk)
            self._fill()
            if outcomes:
                yield outcomes
        if self._source_error is not None:
            raise self._source_error

    def _next(self) -> "_Chunk":
        """The next chunk to give out, waited for; while it runs, others that finish make room for more."""
        if not self._ordered:
            chunk = self._completed()
            self._order.remove(chunk)
            return chunk
        while not self._order[0].is_done:
            self._completed()
            self._fill()
        return self._order.popleft()

    def _completed(self) -> "_Chunk":
        chunk = self._completions.get()
        assert chunk.future is not None
        if chunk.future.cancelled():
            # Its backend was closed, and must not be woken to send what is left.
            chunk.future.result()
        chunk.is_done = True
        self._in_flight -= 1
        self._learn_from(chunk)
        return chunk

    def _learn_from(self, chunk: "_Chunk") -> None:
        """Take in how long a chunk took, and send what is left of it on: now, and not only when its turn comes."""
        future = chunk.future
        assert future is not None
        if future.exception() is not None:
            return
        done = len(future.result())
        if done:
            timeline = future.timeline
            self._sizer.record(done, timeline.running if timeline is not None else time.time() - chunk.sent)
        rest = chunk.calls[done:]
        if not rest:
            return
        self._sizer.cut_short()
        chunk.calls = chunk.calls[:done]
        place = self._order.index(chunk) + 1
        if future.following is not None:
            following, count = future.following
            running = _Chunk(rest[:count], is_part=True)
            self._order.insert(place, running)
            self._in_flight += 1
            self._await(running, following)
            rest, place = rest[count:], place + 1
        self._insert(rest, place)

    def _settled(self, chunk: "_Chunk") -> list[Any]:
        """A finished chunk's outcomes; calls without one take its place in the queue."""
        future, chunk.future = chunk.future, None  # The future's callback holds the chunk: not for longer than needed.
        assert future is not None
        error = future.exception()
        if error is None:
            outcomes: list[Any] = future.result()
            return outcomes
        if isinstance(error, WorkerLostError | SerialisationError) and (len(chunk.calls) > 1 or chunk.is_part):
            # One call is to blame; alone, the others will do.
            self._put_back(chunk.calls, 1, error.attempts if isinstance(error, WorkerLostError) else ())
            return []
        if isinstance(error, SystemFailureError) and not isinstance(error, WorkerLostError | TaskLostError):
            raise error
        return [Failure(error)] * len(chunk.calls)

    def _insert(self, calls: list[tuple[Any, ...]], place: int) -> None:
        """Put calls that a worker gave back into the queue, at their place in the order and first in line to be sent."""
        pieces = []
        start = 0
        while start < len(calls):
            size = self._size(len(calls) - start)
            pieces.append(_Chunk(calls[start : start + size]))
            start += size
        for number, piece in enumerate(pieces):
            self._order.insert(place + number, piece)
        self._unsent.extendleft(reversed(pieces))

    def _put_back(self, calls: list[tuple[Any, ...]], size: int, attempts: tuple[Attempt, ...]) -> None:
        pieces = [_Chunk(calls[start : start + size], attempts=attempts) for start in range(0, len(calls), size)]
        self._order.extendleft(reversed(pieces))
        self._unsent.extendleft(reversed(pieces))

    def _await(self, chunk: "_Chunk", future: Future[Any]) -> None:
        chunk.future, chunk.sent = future, time.time()
        future.add_done_callback(lambda _: self._completions.put(chunk))

    def _fill(self) -> None:
        """Send chunks until enough are on their way."""
        slots = self._backend.concurrency
        most_running = window(slots) if slots else 1
        most_kept = AHEAD * most_running if slots else 1
        while self._in_flight < most_running:
            if self._unsent:
                chunk = self._unsent.popleft()
            elif self._exhausted or len(self._order) >= most_kept:
                return
            else:
                calls = self._pulled(self._size())
                if not calls:
                    return
                self._taken += len(calls)
                chunk = _Chunk(calls)
                self._order.append(chunk)
            self._send(chunk)

    def _pulled(self, size: int) -> list[tuple[Any, ...]]:
        """The next calls of the source; what it raises comes after the results of all calls before."""
        calls: list[tuple[Any, ...]] = []
        try:
            calls.extend(islice(self._source, size))
        except Exception as error:
            self._source_error, self._exhausted = error, True
        if not calls:
            self._exhausted = True
        return calls

    def _size(self, returned: int = 0) -> int:
        if self._batch_size is not None:
            return self._batch_size
        remaining = float("inf") if self._total is None else max(self._total - self._taken, 1) + returned
        return self._sizer.size(remaining, max(self._backend.concurrency, 1))

    def _send(self, chunk: "_Chunk") -> None:
        prepared, find_depot = self._prepared, self._backend.depot
        self._in_flight += 1
        try:
            parcel = packed_chunk(prepared.name, chunk.calls, find_depot)
        except SerialisationError as error:
            future: Future[Any] = Future(prepared.name)
            future.fail(error)
        else:
            if parcel.modules:
                self._function = prepared.portable.payload(parcel.modules, find_depot)
                self._hold = hold_of(self._function, find_depot)
            values = parcel.values + values_of(self._function, find_depot)
            task = Task(self._function, parcel.data, prepared.options, time.time(), len(chunk.calls), values)
            future = self._backend.submit(task)
            if chunk.attempts:
                future.attempts = chunk.attempts
        self._await(chunk, future)

    def _cancel(self, *, force: bool = False) -> None:
        for chunk in self._order:
            if chunk.future is not None:
                chunk.future.cancel(force)
        self._order.clear()
        self._unsent.clear()
        if self._hold is not None:
            self._hold.close()


class _Chunk:
    """Consecutive calls that travel together.

    Args:
        calls: Their arguments.
        is_part: Whether they travelled with others, so that they cannot be sent again by the engine.
        attempts: The times that they were sent with others and did not come back.
    """

    __slots__ = ("attempts", "calls", "future", "is_done", "is_part", "sent")

    def __init__(
        self, calls: list[tuple[Any, ...]], *, is_part: bool = False, attempts: tuple[Attempt, ...] = ()
    ) -> None:
        self.calls = calls
        self.attempts = attempts
        self.is_part = is_part
        self.future: Future[Any] | None = None
        self.is_done = False
        self.sent = 0.0


def total_of(iterables: Iterable[Iterable[Any]]) -> int | None:
    """How many calls the iterables make together, if all of those that end say so.

    Example:
        >>> total_of([range(10), "abc"]), total_of([iter(int, 1)])
        (3, None)
    """
    hints = [length_hint(iterable, -1) for iterable in iterables]
    return None if -1 in hints or not hints else min(hints)


def _progress_bar(name: str, total: int | None) -> Any:
    from tqdm.auto import tqdm  # Loaded when first shown: it costs more than this whole package.

    return tqdm(desc=name, total=total, unit="call")
