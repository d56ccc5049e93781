"""What is known of all calls of one block; `report` makes it, and a page shows it.

    recorded ──► submitted ──► the future's end ──► figures, failures, lanes

Nothing grows with the number of calls but what is kept of those that have not ended.
"""

import threading
import weakref
from functools import partial
from typing import Any

from distribute_challenge.core import clock
from distribute_challenge.core.chunk_result import ChunkResult
from distribute_challenge.core.condition import Condition
from distribute_challenge.core.futures import Future
from distribute_challenge.core.messages import Task
from distribute_challenge.core.outcome import Failure
from distribute_challenge.errors import WorkerLostError
from distribute_challenge.execution.run import inside_call
from distribute_challenge.execution_backends import policy
from distribute_challenge.execution_backends.loss_report import described
from distribute_challenge.reporting.failures import Failures
from distribute_challenge.reporting.figures import FunctionTable
from distribute_challenge.reporting.lanes import Bar, Lanes
from distribute_challenge.serialisation import references_of

__all__ = ["Study"]

# Seconds for other threads to count calls that have just ended; the text of an exception may take
# long.
COUNT_WITHIN = 5.0


class Study:
    """A `Recorder`.

    Attributes:
        began: When the block began, in seconds since the epoch.
        ended: When it ended; 0 before that.
        functions: Figures of each function.
        failures: What calls raised.
        lanes: What each worker ran, and when.
        open: Calls that had not ended when the block ended.

    Guarantees:

    - Each call is counted once, when it ends; those that end after the block are ``open``. A call
      that an engine runs again, because its worker was lost, is one call. A call inside a call is
      part of it, and not counted.
    - ``_lock`` protects all of it, and no code of users runs under it. It is reentrant, because
      garbage that is collected under it may end a future.
    """

    def __init__(self) -> None:
        self.began, self.ended = clock.now(), 0.0
        self.functions = FunctionTable()
        self.failures = Failures()
        self.lanes = Lanes()
        self.open = 0
        self._lock = threading.RLock()
        self._changed = Condition(self._lock)
        self._ending = 0  # Calls that are being counted.
        self._waiting: dict[_Submitted, weakref.ref[Future[Any]]] = {}

    @property
    def seconds(self) -> float:
        """How long the block took."""
        return self.ended - self.began

    def submitted(self, task: Task, future: Future[Any]) -> None:
        if inside_call():
            return
        large = sum(part.size for part in references_of(task.arguments))
        size = (len(task.arguments) + large) / task.calls
        self._watch(future, _Submitted(task, task.calls, size))

    def close(self) -> None:
        """Record that the block has ended; further ends of calls are not counted."""
        with self._lock:
            waiting = [(call, found()) for call, found in self._waiting.items()]
        for call, future in waiting:
            if future is not None and future.done():
                # A thread has just ended it, and may not have called `_end` yet.
                self._end(call, future)
        with self._lock:
            self.ended = clock.now()
            deadline = clock.monotonic() + COUNT_WITHIN
            while self._ending and (left := deadline - clock.monotonic()) > 0:
                self._changed.wait(left)
            self.open = sum(call.calls for call in self._waiting)
            self._waiting.clear()

    def _watch(self, future: Future[Any], call: "_Submitted") -> None:
        # Without the lock, for which the program would wait when other calls end.
        if self.ended:
            return
        self._waiting[call] = weakref.ref(future)
        # A partial, and no method: `LazyFuture.listeners` are other things.
        future.when_done(partial(self._end, call))

    def _end(self, call: "_Submitted", future: Future[Any]) -> None:
        with self._lock:
            if self._waiting.pop(call, None) is None or self.ended:
                return
            self._ending += 1
        try:
            self._take(call, future)
        finally:
            call.task = None  # Futures keep their callbacks, and this would keep the arguments.
            with self._lock:
                self._ending -= 1
                if self.ended:
                    self._changed.notify_all()

    def _take(self, call: "_Submitted", future: Future[Any]) -> None:
        calls = call.calls
        if future.cancelled():
            with self._lock:
                figures = self.functions.of(call.name)
                figures.calls += calls
                figures.cancelled += calls
            return
        error = future._exception
        if error is not None:
            if call.is_chunk and policy.is_sent_one_by_one(error, calls, is_part=call.is_part):
                return  # The map submits them again.
            self._count(call, future, [Failure(error)] * calls)
            return
        result = future._result
        if type(result) is not ChunkResult:
            self._count(call, future, [None])
            return
        self._count(call, future, result.outcomes)
        if result.following is not None:
            assert call.task is not None  # It has just ended.
            first = call.first + len(result.outcomes)
            following = _Submitted(call.task, result.running, call.size, first, is_part=True)
            self._watch(result.following, following)

    def _count(self, call: "_Submitted", future: Future[Any], outcomes: Any) -> None:
        """Count the calls of one message that have ended."""
        calls = len(outcomes)
        if not calls:
            return
        failed = [type(each) for each in outcomes].count(Failure)
        stages, size = future._stages, future.result_size
        with self._lock:
            figures = self.functions.of(call.name)
            figures.calls += calls
            figures.failed += failed
            figures.arguments.add(call.size, calls)
            if size is not None and failed < calls:
                figures.results.add(size / (calls - failed), calls - failed)
            if stages is not None:
                created, _, started, finished, _, worker = stages
                figures.running.add((finished - started) / calls, calls)
                figures.waited += (started - created) * calls
                self.lanes.add(Bar(worker, started, finished, call.name, calls, failed))
        if failed:
            self._note_failures(call, future, outcomes, "" if stages is None else stages[-1])

    def _note_failures(
        self, call: "_Submitted", future: Future[Any], outcomes: Any, worker: str
    ) -> None:
        same: dict[int, list[int]] = {}
        for number, outcome in enumerate(outcomes):
            if type(outcome) is Failure:
                same.setdefault(id(outcome.error), []).append(number)
        for numbers in same.values():
            error = outcomes[numbers[0]].error
            if not worker and isinstance(error, WorkerLostError) and error.attempts:
                worker = error.attempts[-1].worker
            text = partial(call.text, future, numbers[0])
            self.failures.add(call.name, error, len(numbers), text, worker)


class _Submitted:
    """A call, or a chunk of a map, that has not ended.

    Args:
        task: The call or the chunk; it is dropped with ``end``.
        calls: How many calls it stands for.
        size: Size of the arguments of one of them, in bytes.
        first: Number of the first of them in the chunk.
        is_part: Whether they were sent as part of a larger chunk.
    """

    __slots__ = ("calls", "first", "is_chunk", "is_part", "name", "size", "task")

    def __init__(
        self, task: Task, calls: int, size: float, first: int = 0, *, is_part: bool = False
    ) -> None:
        self.task: Task | None = task
        self.name = task.function.name
        self.is_chunk = bool(task.chunk)
        self.calls = calls
        self.size = size
        self.first = first
        self.is_part = is_part

    def text(self, future: Future[Any], number: int) -> str:
        """Return one of the calls as text.

        Args:
            future: Its future.
            number: The number of the call, counted from ``first``.
        """
        assert self.task is not None  # It has just ended.
        if self.is_chunk:
            return described(self.task, item=self.first + number)
        text = future.call_text()  # The future of a call in a graph knows more.
        return described(self.task) if text == self.name else text
