"""Runs a map-reduce: two waves of calls, of which those of the second need all of the first.

    items ──► chunks ──► MapChunk, MapChunk, ...         as many at a time as keep the workers busy
                             │          │                what they give stays on the cluster
                             ▼          ▼
                   ReducePartition, ReducePartition, ... one for each partition
                             │
                             ▼
                    pairs, block by block

If the fold is written in C, what the first calls give comes to a `ClientTable`. If that is all, there
is no second wave.

The consumer drives it: nothing happens before the first pair is asked for.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import contextmanager
from itertools import chain, islice, starmap
from math import inf
from typing import Any, NamedTuple

from distribute_challenge.core import clock
from distribute_challenge.core.folding import fold
from distribute_challenge.core.futures import Future
from distribute_challenge.core.lazy_future import LONGEST_WAIT
from distribute_challenge.core.never_run import HAS_RUN, Place, ToRun, warning
from distribute_challenge.core.options import CallOptions
from distribute_challenge.core.progress_bar import ProgressBar
from distribute_challenge.distributable import Distributable, Prepared
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.execution_backends.registry import Choice
from distribute_challenge.graph.submission import Submission
from distribute_challenge.mapreduce.blocks import Blocks
from distribute_challenge.mapreduce.chunk_sizer import ChunkSizer
from distribute_challenge.mapreduce.client_table import ClientTable
from distribute_challenge.mapreduce.keys import Key, can_compare
from distribute_challenge.mapreduce.map_chunk import Items, MapChunk
from distribute_challenge.mapreduce.reduce_partition import ReducePartition, order
from distribute_challenge.mapreduce.steps import Steps
from distribute_challenge.serialisation import references_of
from distribute_challenge.settings import shuffle_memory

__all__ = ["Job"]

NEVER_RUN = (
    "a map_reduce over {name} was made and never run: it begins when its first pair is asked for, "
    "as in: dict(map_reduce(...))"
)


#: Counts what has ended, and gets the seconds that it took.
_Update = Callable[[int, float], object]


class _Chunk(NamedTuple):
    """A call of the first wave that has not ended.

    Args:
        call: The call.
        number: Its number among the calls.
        items: Number of its items.
        size: Bytes of its items.
        sent: When it was submitted, in seconds of the clock.
        is_divided: Whether it divides its pairs by partition; else the client merges them.
    """

    call: Distributable[Blocks]
    number: int
    items: int
    size: int
    sent: float
    is_divided: bool


class Job(ToRun):
    """One run of `map_reduce`.

    Args:
        steps: The functions of the user.
        items: What the mapper gets, one by one.
        total: Number of items; None if it is unknown.
        options: The options of the calls.
        engine: The backend that runs them.
        named: The backend that the caller names, also for calls in the items; None: none.
        client_table: Merges what the first calls give; None: they divide it for the second wave.
        shows_progress: Whether each wave shows a bar.
        made_at: Where the program made it, for the warning if it never runs.

    Raises:
        OptionError: The backend does not support an option that was set.
    """

    def __init__(
        self,
        steps: Steps,
        items: Iterable[Any],
        total: int | None,
        options: CallOptions,
        engine: ExecutionBackend,
        named: Choice,
        *,
        client_table: ClientTable | None,
        shows_progress: bool,
        made_at: Place,
    ) -> None:
        self.at_deletion = HAS_RUN
        self._steps = steps
        self._items = iter(items)
        self._left = inf if total is None else total
        self._total = total
        self._engine = engine
        self._named = named
        self._map_chunk, self._reduce_partition = MapChunk(steps), ReducePartition(steps)
        self._map = Prepared.of(self._map_chunk, options)
        self._reduce = Prepared.of(self._reduce_partition, options)
        self._shows_progress = shows_progress
        self._sizer = ChunkSizer()
        self._client_table = client_table
        self._sent = 0
        self._taken = 0
        self._calls: list[Distributable[Blocks]] = []  # Those that divide their pairs.
        # Whether what the first wave gives stays on the cluster, and travels from call to call as a
        # reference. If not, it comes to this process, and each call gets its section alone.
        self._stays = False
        self._values: dict[int, Blocks] = {}  # By number of the call, if they come to this process.
        self.at_deletion = warning(NEVER_RUN, self._map.name, made_at)

    def pairs(self) -> Iterator[tuple[Key, Any]]:
        """Run it, and yield each key with its result; closing the iterator cancels what runs."""
        self.at_deletion = HAS_RUN
        futures: list[Future[Blocks]] = []
        try:
            self._stays = self._engine.depot() is not None
            with Submission(self._named) as submission:
                self._run_first_wave(submission)
                futures = self._second_wave(submission)
            if not futures:
                yield from self._client_pairs()
                return
            with _bar(self._shows_progress, self._reduce.name, len(futures), "call") as update:
                values = (_next_value(futures, update) for _ in range(len(futures)))
                if self._steps.is_sorted:
                    yield from _merged(list(values))
                else:
                    for value in values:
                        yield from _pairs(value)
        except BaseException as error:
            fold(error)
            raise
        finally:
            for future in futures:
                future.cancel(force=True)

    def _run_first_wave(self, submission: Submission) -> None:
        pending: dict[Future[Blocks], _Chunk] = {}
        began = clock.monotonic()
        with _bar(self._shows_progress, self._map.name, self._total, "item") as update:
            while True:
                while len(pending) < self._sizer.most_at_once(self._engine.concurrency):
                    sent = self._send_chunk(submission, clock.monotonic() - began)
                    if sent is None:
                        break
                    pending.update([sent])
                if not pending:
                    return
                for future in _some_ended(pending):
                    chunk = pending.pop(future)
                    update(chunk.items, self._record(future, chunk))

    def _send_chunk(
        self, submission: Submission, elapsed: float
    ) -> tuple[Future[Blocks], _Chunk] | None:
        """Submit the next call of the first wave; None if there are no more items."""
        left = self._left if self._left > 0 else inf  # There may be more than their `length_hint`.
        size = self._sizer.size(left, self._engine.concurrency, elapsed)
        items = list(islice(self._items, size))
        if not items:
            return None
        is_divided = self._client_table is None or not self._client_table.expect(len(items))
        partitions = self._steps.partitions if is_divided else 1
        call: Distributable[Blocks] = Distributable(
            self._map_chunk, (Items(self._taken, items),), {"partitions": partitions}, self._map
        )
        ready = call.prepare(self._named)
        # Their pickle is kept, in case that the value is lost.
        call.args = ()
        arguments = ready.task.arguments
        chunk = _Chunk(
            call,
            self._sent,
            len(items),
            len(arguments) + sum(each.size for each in references_of(arguments)),
            clock.now(),
            is_divided,
        )
        self._sent += 1
        self._taken += len(items)
        self._left -= len(items)
        if is_divided:
            self._calls.append(call)
        submit = submission.begin if is_divided and self._stays else submission.submit
        return submit(call, ready), chunk

    def _record(self, future: Future[Blocks], chunk: _Chunk) -> float:
        """Record that a call of the first wave has ended, and return the seconds that it took.

        Raises:
            BaseException: The exception that it raised.
        """
        if not chunk.is_divided:
            assert self._client_table is not None  # It has said that it takes this.
            self._client_table.merge(chunk.number, chunk.items, future.result())
        elif not self._stays or not future.has_value():
            # Only then, as it would come to this process.
            self._values[chunk.number] = future.result()
        timeline = future.timeline
        seconds = clock.now() - chunk.sent if timeline is None else timeline.running
        self._sizer.record(chunk.items, seconds=seconds, size=chunk.size)
        return seconds

    def _second_wave(self, submission: Submission) -> list[Future[Blocks]]:
        """Submit a call for each partition, if a call of the first wave has divided its pairs."""
        if not self._calls:
            return []
        early = None
        if self._client_table is not None:
            early = self._client_table.divided(self._steps.partitions, shuffle_memory())
        values = [self._values[number] for number in sorted(self._values)]
        futures = []
        for number in range(self._steps.partitions):
            parts: list[Any] = [] if early is None else [early.alone(number)]
            parts += self._calls if self._stays else [each.alone(number) for each in values]
            call: Distributable[Blocks] = Distributable(
                self._reduce_partition, (number, parts), None, self._reduce
            )
            futures.append(submission.submit(call))
        self._calls.clear()
        self._values.clear()
        return futures

    def _client_pairs(self) -> Iterator[tuple[Key, Any]]:
        """Yield the results of a job without a second wave."""
        if self._client_table is None:
            return iter(())
        return self._client_table.pairs(is_sorted=self._steps.is_sorted)


def _some_ended(futures: Iterable[Future[Blocks]]) -> set[Future[Blocks]]:
    """Wait until some futures are done, and return them."""
    while True:
        # Not for ever: see `LONGEST_WAIT`.
        if done := wait(futures, LONGEST_WAIT, FIRST_COMPLETED).done:
            return done  # type: ignore[return-value] # they are what was given


def _next_value(futures: list[Future[Blocks]], update: _Update) -> Blocks:
    """Wait for one of the futures, remove it from the list, and return its value."""
    future = _some_ended(futures).pop()
    futures.remove(future)
    value, timeline = future.result(), future.timeline
    update(1, 0.0 if timeline is None else timeline.running)
    return value


def _pairs(blocks: Blocks) -> Iterator[tuple[Key, Any]]:
    # In C, as there may be many.
    return chain.from_iterable(starmap(zip, blocks.section(0)))


def _merged(partitions: Iterable[Blocks]) -> Iterator[tuple[Key, Any]]:
    """Merge sorted partitions; one block of each is in memory."""
    kinds = {kind for partition in partitions for kind in partition.kinds}
    # A key is in one partition alone, so that pairs are compared without their values.
    compared_by = None if can_compare(kinds) else order
    return heapq.merge(*map(_pairs, partitions), key=compared_by)


@contextmanager
def _bar(is_shown: bool, name: str, total: int | None, unit: str) -> Iterator[_Update]:
    """Show a progress bar in a block of code, and give the function that moves it."""
    if not is_shown:
        yield lambda _, __: None
        return
    with ProgressBar(name, total, unit) as bar:
        yield lambda ended, ran_for: bar.update(ended, 0, ran_for)
