"""Computes the values of some keys: sends the pieces of a graph as they become ready.

    plan ─► pieces that are ready ─► engine ─► pieces that have ended ─► pieces that became ready

The thread that computes drives it. Values of pieces go from call to call as futures in arguments,
and never through this code, unless a callback asks for them.
"""

from collections.abc import Iterable
from contextlib import suppress
from heapq import heappop, heappush
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from distribute_challenge.core import clock
from distribute_challenge.core.futures import Future
from distribute_challenge.core.lazy_future import LONGEST_WAIT
from distribute_challenge.core.running_graphs import RunningGraph
from distribute_challenge.dask.callbacks import Callbacks
from distribute_challenge.dask.calls import Calls
from distribute_challenge.dask.pieces import Piece, Plan
from distribute_challenge.dask.task_spec import Key, key_split
from distribute_challenge.dask.window import Window
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.graph.submission import Submission

__all__ = ["Computation"]


class _Sent(NamedTuple):
    """A piece whose call is out.

    Args:
        piece: The piece.
        out: Number of calls that were out then, with this one.
        at: When it was sent, in seconds of `clock.monotonic`.
    """

    piece: Piece
    out: int
    at: float


class Computation:
    """One run of a plan.

    Args:
        plan: The pieces, and what they need.
        calls: Makes their calls.
        engine: The engine that runs them.
        window: Says how many calls may be out.
        callbacks: Are told of tasks that begin and end.

    Guarantees:

    - A future is forgotten when the last piece that needs its value was sent, so that the value can
      be freed when this piece has it.
    - After an exception, no call of this computation goes on.
    """

    def __init__(
        self,
        plan: Plan,
        calls: Calls,
        engine: ExecutionBackend,
        window: Window,
        callbacks: Callbacks,
    ) -> None:
        self._plan = plan
        self._calls = calls
        self._engine = engine
        self._window = window
        self._callbacks = callbacks
        self._futures: dict[Key, Future[Any]] = dict(plan.given)
        self._users = dict(plan.users)
        self._order = {key: number for number, key in enumerate(plan.pieces)}
        self._ready: list[tuple[int, Piece]] = []
        self._missing: dict[Key, int] = {}
        self._waiting: dict[Key, list[Piece]] = {}
        self._sent: dict[Future[Any], _Sent] = {}
        self._ended: SimpleQueue[Future[Any]] = SimpleQueue()

    def run(self) -> None:
        """Run all pieces.

        Raises:
            BaseException: The first exception of a task, or of a call of the engine.
        """
        pieces = self._plan.pieces
        for piece in pieces.values():
            self._await_needs(piece)
        if not pieces:
            return
        graph = RunningGraph(key_split(next(reversed(pieces))), self._engine)
        graph.calls = graph.unsent = len(pieces)
        graph.results = 1
        with Submission(self._engine) as submission:
            try:
                while self._ready or self._sent:
                    while self._ready and len(self._sent) < self._window.size:
                        self._send(heappop(self._ready)[1], submission)
                        graph.unsent -= 1
                    graph.out = len(self._sent)
                    self._take(self._next_ended())
            except BaseException:
                graph.failed = 1
                for future in self._sent:
                    future.cancel(force=True)
                raise
            finally:
                graph.complete()

    def values(self, keys: Iterable[Key]) -> dict[Key, Any]:
        """Return the values of keys, after `run`."""
        return {key: self._value(key) for key in keys}

    def _value(self, key: Key) -> Any:
        source = self._plan.source(key).key
        future = self._futures.get(source)
        return self._plan.value(source) if future is None else future.result()

    def _await_needs(self, piece: Piece) -> None:
        missing = [need for need in piece.needs if need not in self._futures]
        if not missing:
            heappush(self._ready, (self._order[piece.key], piece))
        else:
            self._missing[piece.key] = len(missing)
            for need in missing:
                self._waiting.setdefault(need, []).append(piece)

    def _send(self, piece: Piece, submission: Submission) -> None:
        """Submit the call of a piece."""
        inputs = {need: self._futures[need] for need in piece.needs}
        self._callbacks.begin(piece.tasks)
        call = self._calls.call(piece, inputs)
        future = submission.submit_task(call.prepare(self._engine))
        self._sent[future] = _Sent(piece, len(self._sent) + 1, clock.monotonic())
        future.when_done(self._ended.put)
        for need in piece.needs:
            self._users[need] -= 1
            if not self._users[need]:
                del self._futures[need]

    def _next_ended(self) -> Future[Any]:
        while True:
            with suppress(Empty):
                return self._ended.get(timeout=LONGEST_WAIT)

    def _take(self, future: Future[Any]) -> None:
        """Take note of the end of a call."""
        piece, out, sent_at = self._sent.pop(future)
        self._window.record(out, clock.monotonic() - sent_at)
        if not future.has_value():
            future.result()
        timeline = future.timeline
        value = future.result() if self._callbacks.show_values else None
        self._callbacks.end(piece.tasks, value, timeline.worker if timeline is not None else "")
        self._futures[piece.key] = future
        for user in self._waiting.pop(piece.key, ()):
            self._missing[user.key] -= 1
            if not self._missing[user.key]:
                heappush(self._ready, (self._order[user.key], user))
