"""Clients under constant load, by each of the ways to make a call, until they are told to stop.

submit ─────┐
compute ────┤
map ────────┼─ threads of this process, one `Client` ──> tally
graph ──────┤
map_reduce ─┤
queue ──────┘
"""

import itertools
import os
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any

from benchmarks.chaos.tally import Tally
from benchmarks.rig.calls import Ending, answer, consume, follow, halves, joined, right, work
from distribute_challenge import Queue, map_reduce
from distribute_challenge.errors import TaskLostError
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.queues import ShutDown

__all__ = ["Traffic"]

SHORT = 0.02  # Seconds of most calls at most.
LONG = 1.0  # Seconds of the others at most.
LONG_ONES = 0.1  # Share of the calls.
RAISING = 0.05
DEADLY = 0.002
LARGE = 0.02
MAPPED = 50  # Calls of one map or queue, and items of one map-reduce.
QUEUE_LEASE = 2.0  # Seconds.
LEAVES = 8  # Calls of a graph that need no others; each further one needs two.
PAUSE = 0.1  # Seconds after a call that could not even be sent, before the next.
FOR_EACH_WORKER = 4  # Submitted calls on their way, and as many of graphs.
WAITS_AT_MOST = 600.0  # Seconds for which none waits here, unless clocks that are set make it so.


class Traffic:
    """Five threads that make calls.

    Args:
        backend: What runs them.
        tally: Told of each call when it is made and when it has ended.
        diary: Folder in which calls note that they run.
        seed: Of what the calls are like; what follows on what depends on how fast they are, too.
        workers: Worker processes, for how many calls are on their way at once.

    Guarantees: A bounded number of calls is on its way, and nothing is kept of those that have
    ended.
    """

    def __init__(
        self,
        backend: ExecutionBackend,
        tally: Tally,
        *,
        diary: str | os.PathLike[str],
        seed: int,
        workers: int,
    ) -> None:
        self._backend = backend
        self._tally = tally
        self._diary = str(diary)
        self._work = work.with_options(queue_timeout=WAITS_AT_MOST)
        self._numbers = itertools.count()
        self._room = threading.Semaphore(workers * FOR_EACH_WORKER)
        self._graph_room = threading.Semaphore(workers * FOR_EACH_WORKER)
        self._stop = threading.Event()
        self._threads = [
            # A stuck one does not keep the program from telling so.
            threading.Thread(
                target=target, args=(random.Random(f"{seed} {target.__name__}"),), daemon=True
            )
            for target in (
                self._submit,
                self._compute,
                self._map,
                self._graph,
                self._map_reduce,
                self._queue,
            )
        ]

    def start(self) -> None:
        """Begin to make calls."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Make no more calls, without waiting for those that are on their way."""
        self._stop.set()

    def wait(self, within: float) -> None:
        """Wait until every call has ended.

        Args:
            within: Seconds; those that have not ended by then are still open in the tally.
        """
        deadline = time.monotonic() + within
        while time.monotonic() < deadline and (
            self._tally.open or any(each.is_alive() for each in self._threads)
        ):
            time.sleep(PAUSE)

    # --- in threads of their own

    def _submit(self, source: random.Random) -> None:
        while not self._stop.is_set():
            if not self._room.acquire(timeout=PAUSE):
                continue
            call, seconds, ending, argument = self._next(source)
            try:
                future = self._work(self._diary, call, seconds, ending, argument).submit(
                    self._backend
                )
            except Exception as error:
                self._failed(call, error)
                self._room.release()
            else:
                future.when_done(partial(self._done, self._room, call))

    def _done(self, room: threading.Semaphore, call: str, future: "Future[str]") -> None:
        room.release()
        self._tally.end(call, future.exception() or future.result())

    def _compute(self, source: random.Random) -> None:
        while not self._stop.is_set():
            call, seconds, ending, argument = self._next(source)
            try:
                value: Any = self._work(self._diary, call, seconds, ending, argument).compute(
                    self._backend
                )
            except Exception as error:
                self._failed(call, error)
            else:
                self._tally.end(call, value)

    def _map(self, source: random.Random) -> None:
        while not self._stop.is_set():
            calls = [self._next(source) for _ in range(MAPPED)]
            names = iter([call for call, *_ in calls])
            try:
                arguments = ((self._diary, *call) for call in calls)
                for outcome in self._work.starmap(
                    arguments, on_error="return", backend=self._backend
                ):
                    self._tally.end(next(names), outcome)
            except Exception as error:
                # It failed as a whole: of the rest there are no values.
                for call in names:
                    self._failed(call, error)

    def _graph(self, source: random.Random) -> None:
        """Submit trees. No call of them is to fail, so that all above it have values."""
        while not self._stop.is_set():
            level = [self._node(source) for _ in range(LEAVES)]
            while len(level) > 1 and None not in level:
                level = [
                    self._node(source, *pair) for pair in zip(level[::2], level[1::2], strict=True)
                ]

    def _node(self, source: random.Random, *needs: Any) -> "tuple[str, Future[str]] | None":
        """Submit a call that needs others; return its name and its future, None if that failed."""
        while not self._graph_room.acquire(timeout=PAUSE):
            if self._stop.is_set():
                return None
        call, seconds = f"c-{next(self._numbers)}", source.uniform(0, SHORT)
        self._tally.begin(call, "value")
        names, values = [name for name, _ in needs], [future for _, future in needs]
        try:
            future = follow(self._diary, call, seconds, names, values).submit(self._backend)
        except Exception as error:
            self._failed(call, error)
            self._graph_room.release()
            return None
        future.when_done(partial(self._done, self._graph_room, call))
        return call, future

    def _map_reduce(self, source: random.Random) -> None:
        """Count each item of a map-reduce as a call."""
        while not self._stop.is_set():
            calls = {f"c-{next(self._numbers)}" for _ in range(MAPPED)}
            for call in calls:
                self._tally.begin(call, "value")
            items = [(self._diary, call, source.uniform(0, SHORT)) for call in sorted(calls)]
            try:
                for call, value in map_reduce(
                    halves,
                    items,
                    reducer=joined,
                    queue_timeout=WAITS_AT_MOST,
                    backend=self._backend,
                ):
                    if call:
                        calls.remove(call)
                        self._tally.end(call, value)
            except Exception as error:
                # It failed as a whole: of the rest there are no values.
                for call in calls:
                    self._failed(call, error)
            else:
                assert not calls  # Each key has come, and once.

    def _queue(self, source: random.Random) -> None:
        """Put calls into a queue, and let a consumer run them. No call of them is to fail."""
        while not self._stop.is_set():
            names = [f"c-{next(self._numbers)}" for _ in range(MAPPED)]
            waiting = dict.fromkeys(names)
            for call in names:
                self._tally.begin(call, "value")
            error: Exception = TaskLostError("the queue was emptied", ())
            try:
                for call in self._consumed([(call, source.uniform(0, SHORT)) for call in names]):
                    if call in waiting:  # A call that ran twice has two results.
                        del waiting[call]
                        self._tally.end(call, answer(call))
            except ShutDown:
                pass  # Redis was emptied.
            except Exception as failure:
                error = failure
            for call in waiting:
                self._tally.end(call, error)
            if waiting:
                self._stop.wait(PAUSE)

    def _consumed(self, calls: list[tuple[str, float]]) -> Iterator[str]:
        items: Queue[tuple[str, str, float]] = Queue(lease=QUEUE_LEASE, backend=self._backend)
        try:
            with consume.consume(items, 1, results=True) as consumers:
                items.put_many((self._diary, *call) for call in calls)
                yield from consumers.results()
        finally:
            items.delete()

    def _failed(self, call: str, error: Exception) -> None:
        self._tally.end(call, error)
        self._stop.wait(PAUSE)

    def _next(self, source: random.Random) -> tuple[str, float, Ending, str]:
        seconds = source.uniform(0, LONG if source.random() < LONG_ONES else SHORT)
        drawn = source.random()
        ending: Ending = "value"
        if drawn < DEADLY:
            ending = source.choice(["exit", "kill"])
        elif drawn < DEADLY + RAISING:
            ending = "raise"
        elif drawn < DEADLY + RAISING + LARGE:
            ending = "large"
        call = f"c-{next(self._numbers)}"
        self._tally.begin(call, ending)
        return call, seconds, ending, right(call, ending) if ending == "large" else ""
