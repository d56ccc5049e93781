"""Divides the calls of a map into chunks, and sends as many of them as keep the engine busy.

    source iterables --> chunks --> engine --> finished chunks, in order or as they come

`MapRun` drives it, and waits where there is something to wait for; this module never does. A chunk
with slow calls comes back partly done; its rest is divided into smaller chunks, which take its
place.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from distribute_challenge.core import clock
from distribute_challenge.core.batching import LARGEST, LARGEST_BYTES, BatchSizer, window
from distribute_challenge.core.chunk import Chunk
from distribute_challenge.core.chunk_result import ChunkResult
from distribute_challenge.core.futures import Future
from distribute_challenge.core.map_options import MapOptions
from distribute_challenge.core.messages import Task
from distribute_challenge.core.needs import collecting
from distribute_challenge.core.never_run import HAS_RUN, Place, ToRun, warning
from distribute_challenge.core.outcome import Failure
from distribute_challenge.core.recording import recorded
from distribute_challenge.distributable import Prepared
from distribute_challenge.errors import Attempt, SerialisationError, WorkerLostError
from distribute_challenge.execution_backends import policy
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.execution_backends.registry import Choice
from distribute_challenge.serialisation.tasks import (
    hold_of,
    packed_chunk,
    release_values,
    values_of,
)

if TYPE_CHECKING:
    from distribute_challenge.graph.submission import Submission

__all__ = ["Mapping"]

# An ordered map keeps finished chunks while an earlier one is late: at most so many times the
# number in flight.
AHEAD = 4


# Of the warning of a map that never ran.
NEVER_RUN = (
    "a map over {name} was made and never run: it begins when its first result is asked for, as "
    "in: for result in {name}.map(...)"
)


class Mapping(ToRun):
    """The chunks of one map; `DistributableFunction.map` and `starmap` make it.

    Nothing is read or sent before the first `due`.

    Args:
        prepared: The function.
        backend: The engine.
        calls: Argument tuples, read when they are needed.
        options: The options of the map.
        completed: Called with each chunk whose future is done, in the thread that ends the future.
            The driver gives the chunk to `take`.
        total: Number of calls; None if it is unknown.
        named: The backend that the caller names, also for calls in the items; None: none.
        check: Raises if the arguments of a call do not fit. It is called for the first call, unless
            errors are returned.
        made_at: Where the program made the map, for the warning if it never runs.

    Guarantees: methods are called by one thread at a time.
    """

    def __init__(
        self,
        prepared: Prepared,
        backend: ExecutionBackend,
        calls: Iterable[tuple[Any, ...]],
        options: MapOptions,
        completed: Callable[[Chunk], None],
        *,
        total: int | None,
        named: Choice = None,
        check: Callable[[tuple[Any, ...]], None] | None = None,
        made_at: Place,
    ) -> None:
        self.at_deletion = HAS_RUN  # No warning if this method raises.
        self._prepared = prepared
        self._backend = backend
        self._source = iter(calls)
        self._total = total
        self._options = options
        self._function = prepared.portable.payload(
            find_depot=backend.depot, shares_files=backend.shares_files
        )
        # The function may change while the map runs: the values that this version captures are kept
        # until the map ends.
        self._hold = hold_of(self._function, backend.depot)
        self._sizer = BatchSizer(LARGEST)
        self._bytes_per_call = 1.0  # Size of the latest chunk's arguments, divided by its calls.
        self._check = check if options.on_error == "raise" else None
        self._taken = 0
        self._exhausted = False
        self._source_error: Exception | None = None
        self._order: deque[Chunk] = deque()
        self._unsent: deque[Chunk] = deque()
        self._finished: deque[Chunk] = deque()  # Chunks to hand out as they end.
        self._in_flight = 0
        self._completed = completed
        self._named = named
        self._submission: Submission | None = None
        self.at_deletion = warning(NEVER_RUN, prepared.name, made_at)

    @property
    def name(self) -> str:
        """The name of the function."""
        return self._prepared.name

    @property
    def total(self) -> int | None:
        """The number of calls; None if it is unknown."""
        return self._total

    @property
    def queue(self) -> str:
        """The queue of its calls."""
        return self._prepared.options.queue

    @property
    def sender(self) -> Any:
        """What sends its calls, as in `ExecutionBackend.sender`."""
        return self._backend.sender

    @property
    def unsent(self) -> int:
        """Number of its calls that the engine does not have yet, as far as is known."""
        unread = 0 if self._exhausted or self._total is None else max(0, self._total - self._taken)
        return unread + sum(len(chunk.calls) for chunk in list(self._unsent))

    @property
    def is_over(self) -> bool:
        """Whether all results were handed out, once `due` has returned None."""
        return not self._order

    def due(self) -> tuple[Chunk, Sequence[Any]] | None:
        """Send chunks until enough are on their way, and hand out one that is finished.

        Returns:
            The next chunk whose results are due, with its outcomes; None: the map is over, or a
                chunk has to end first.

        Raises:
            SystemFailureError: The engine failed.
            Exception: The source raised it, and all results before it were handed out.
        """
        self._fill()
        while (chunk := self._next()) is not None:
            outcomes = self._settled(chunk)
            self._fill()
            if outcomes:
                return chunk, outcomes
        if not self._order and self._source_error is not None:
            raise self._source_error
        return None

    def take(self, chunk: Chunk) -> None:
        """Record that a chunk's future is done.

        Raises:
            CallCancelledError: It was cancelled.
        """
        assert chunk.future is not None
        if chunk.future.cancelled():
            # Its backend was closed: `result` raises, so that the rest is not sent to it.
            chunk.future.result()
        chunk.is_done = True
        self._in_flight -= 1
        self._learn_from(chunk)
        if not self._options.ordered:
            self._finished.append(chunk)

    def cancel(self, *, force: bool = False) -> None:
        """Cancel the calls that have not begun, and forget all.

        Args:
            force: Also stop those that run.
        """
        for chunk in self._order:
            # Ctrl+C may have come before calls that still run had a chunk of their own.
            chunk.cancel(force=force)
        self._order.clear()
        self._unsent.clear()
        if self._submission is not None:
            self._submission.close()
        if self._hold is not None:
            self._hold.close()

    def _next(self) -> Chunk | None:
        """Return the next chunk whose results are due; None if there is none yet."""
        if not self._options.ordered:
            if not self._finished:
                return None
            chunk = self._finished.popleft()
            self._order.remove(chunk)
            return chunk
        return self._order.popleft() if self._order and self._order[0].is_done else None

    def _learn_from(self, chunk: Chunk) -> None:
        """Record how long a chunk took, and queue the calls that it gave back.

        This happens at once, and not only when the results of the chunk are due.
        """
        future = chunk.future
        assert future is not None
        if future.exception() is not None:
            return
        result = future.result()
        done = len(result.outcomes)
        if done:
            timeline = future.timeline
            chunk.worker = timeline.worker if timeline is not None else ""
            chunk.seconds = timeline.running if timeline is not None else clock.now() - chunk.sent
            self._sizer.record(done, chunk.seconds, result.size)
        rest = chunk.calls[done:]
        if not rest:
            return
        self._sizer.cut_short()
        chunk.calls = chunk.calls[:done]
        place = self._order.index(chunk) + 1
        if result.following is not None:
            running = Chunk(rest[: result.running], chunk.first + done, is_part=True)
            self._order.insert(place, running)
            self._in_flight += 1
            self._await(running, result.following)
            rest, place = rest[result.running :], place + 1
            done += result.running
        self._insert(rest, chunk.first + done, place)

    def _settled(self, chunk: Chunk) -> Sequence[Any]:
        """Return a finished chunk's outcomes; calls without one take its place in the queue."""
        # The future's callback refers to the chunk: this ends the reference cycle.
        future, chunk.future = chunk.future, None
        assert future is not None
        error = future.exception()
        if error is None:
            return future.result().outcomes
        if policy.is_sent_one_by_one(error, len(chunk.calls), is_part=chunk.is_part):
            self._put_back(chunk, error.attempts if isinstance(error, WorkerLostError) else ())
            return []
        if policy.ends_map(error):
            raise error
        return [Failure(error)] * len(chunk.calls)

    def _insert(
        self, calls: list[tuple[Any, ...]], first: int, place: int, most: int | None = None
    ) -> None:
        """Queue calls that were not run, at their place in the order, to be sent before others.

        Args:
            calls: The arguments of the calls.
            first: Number of the first of them among all items.
            place: Index in the order.
            most: Number of calls in each piece; None: as many as fit.
        """
        pieces = []
        start = 0
        while start < len(calls):
            size = most or self._size(len(calls) - start)
            pieces.append(Chunk(calls[start : start + size], first + start))
            start += size
        for number, piece in enumerate(pieces):
            self._order.insert(place + number, piece)
        self._unsent.extendleft(reversed(pieces))

    def _put_back(self, chunk: Chunk, attempts: tuple[Attempt, ...]) -> None:
        """Queue each call of a chunk as a chunk of its own."""
        pieces = [
            Chunk([call], number, attempts=attempts)
            for number, call in enumerate(chunk.calls, chunk.first)
        ]
        self._order.extendleft(reversed(pieces))
        self._unsent.extendleft(reversed(pieces))

    def _await(self, chunk: Chunk, future: Future[ChunkResult]) -> None:
        chunk.future, chunk.sent = future, clock.now()
        completed = self._completed
        # Without a reference to this object, which is deleted when its driver is.
        future.when_done(lambda _: completed(chunk))

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
                chunk = Chunk(calls, self._taken)
                self._taken += len(calls)
                self._order.append(chunk)
            self._send(chunk)

    def _pulled(self, size: int) -> list[tuple[Any, ...]]:
        """Return the next calls of the source.

        An exception of the source is raised after the results of all calls before it.
        """
        calls: list[tuple[Any, ...]] = []
        try:
            calls.extend(islice(self._source, size))
        except Exception as error:
            self._source_error, self._exhausted = error, True
        if not calls:
            self._exhausted = True
        elif self._check is not None:
            check, self._check = self._check, None
            check(calls[0])
        return calls

    def _size(self, returned: int = 0) -> int:
        if self._options.batch_size is not None:
            return self._options.batch_size
        remaining = (
            float("inf") if self._total is None else max(self._total - self._taken, 1) + returned
        )
        size = self._sizer.size(remaining, max(self._backend.concurrency, 1))
        return min(size, max(1, int(LARGEST_BYTES / self._bytes_per_call)))

    def _send(self, chunk: Chunk) -> None:
        prepared, find_depot = self._prepared, self._backend.depot
        try:
            with collecting() as needs:
                parcel = packed_chunk(prepared.name, chunk.calls, find_depot)
        except SerialisationError as error:
            future: Future[ChunkResult] = Future(prepared.name)
            future.fail(error)
        else:
            if len(chunk.calls) > 1 and not all(
                isinstance(need, Future) and need.has_value() for need in needs
            ):
                # Each call waits for its own needs, and fails with them.
                release_values(parcel.values, find_depot)
                self._divide(chunk, size=1)
                return
            self._bytes_per_call = max(1.0, len(parcel.data) / len(chunk.calls))
            if (
                self._options.batch_size is None
                and len(chunk.calls) > 1
                and len(parcel.data) > 2 * LARGEST_BYTES
            ):
                self._divide(chunk)
                return
            if parcel.modules:
                self._function = prepared.portable.payload(
                    parcel.modules, find_depot, shares_files=self._backend.shares_files
                )
                self._hold = hold_of(self._function, find_depot)
            values = parcel.values + values_of(self._function, find_depot)
            options, calls = prepared.options, len(chunk.calls)
            task = Task(
                self._function, parcel.data, options, clock.now(), calls, values, chunk.attempts
            )
            future = self._submitted(task._replace(needs=tuple(needs)))
        self._in_flight += 1
        self._await(chunk, future)

    def _submitted(self, task: Task) -> Future[ChunkResult]:
        if not task.needs:
            return recorded(task, self._backend.submit(task))
        if self._submission is None:
            from distribute_challenge.graph.submission import Submission  # Few maps need it.

            self._submission = Submission(self._named, is_lasting=True)
        return self._submission.submit_task(self._prepared.submittable(task, self._backend))

    def _divide(self, chunk: Chunk, size: int | None = None) -> None:
        """Send a chunk in pieces, of ``size`` calls if it is given."""
        place = self._order.index(chunk)
        del self._order[place]
        self._insert(chunk.calls, chunk.first, place, size)
