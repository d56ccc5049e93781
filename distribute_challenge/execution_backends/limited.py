"""An engine in front of another one, which lets no more than a number of calls through at a time.

    submit ──► waiting, by priority and age ──► the other engine ──► the call's future
                        ▲                                │
                        └──── one has ended: the next ◄──┘

`Executor` makes one if it has a ``max_workers`` for an engine that it was given, or an
``initializer``: if that fails, `LimitedBackend.break_with` ends all calls.
"""

import os
import threading
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import TYPE_CHECKING, Any

from distribute_challenge.core.callbacks import Dispatcher
from distribute_challenge.core.compact import compact
from distribute_challenge.core.forks import generation, renew_in_children
from distribute_challenge.core.futures import Future
from distribute_challenge.core.lazy_future import OFTEN_SET
from distribute_challenge.core.log_lines import LogLine
from distribute_challenge.core.messages import Task
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.execution_backends.loss_report import described
from distribute_challenge.execution_backends.policy import urgency
from distribute_challenge.serialisation.tasks import release_values

if TYPE_CHECKING:
    from distribute_challenge.stores import Depot

__all__ = ["LimitedBackend", "LimitedCall"]


@compact(*OFTEN_SET, "task", "_backend", "entry", "inner")
class LimitedCall(Future[Any]):
    """The future of a call that waits for its turn; `LimitedBackend.submit` makes it.

    Args:
        task: The call.
        backend: The engine where it waits.

    Attributes:
        entry: Its entry among the waiting calls; None if it does not wait.
        inner: The other engine's future, from when the call goes there until it ends.
        task: The call, until it goes to the other engine.
    """

    entry: "list[Any] | None" = None
    inner: Future[Any] | None = None

    def __init__(self, task: Task, backend: "LimitedBackend") -> None:
        self.name = task.function.name
        self.task: Task | None = task
        self._backend = backend
        if generation[0]:
            self._generation = generation[0]

    def cancel(self, force: bool = False) -> bool:
        if self.done():
            return self.cancelled()
        if self._backend.take_back(self):
            return self._cancel()
        if force:
            self._cancel()
        inner = self.inner
        if inner is not None:
            inner.cancel(force)
        return self.cancelled()

    def running(self) -> bool:
        inner = self.inner
        return inner is not None and inner.running()

    def stage(self) -> str:
        inner = self.inner
        return "pending" if inner is None else inner.stage()

    def logs(self) -> list[LogLine]:
        inner = self.inner
        return super().logs() if inner is None else inner.logs()

    def call_text(self) -> str:
        task, inner = self.task, self.inner
        if task is not None:
            return described(task)
        return self.name if inner is None else inner.call_text()

    def goes_on(self, inner: Future[Any]) -> None:
        """Record that the call has gone to the other engine, and wait for its end there."""
        self.task, self.inner = None, inner
        inner.when_done(self._take)
        if self.done():
            inner.cancel(force=True)  # It was cancelled, or failed, on its way there.

    def _take(self, inner: Future[Any]) -> None:
        # The inner future keeps its callbacks, and so this object: this ends the circle.
        self.inner, self._lines = None, inner._lines
        if inner.result_size is not None:
            self.result_size = inner.result_size
        if inner.cancelled():
            self._cancel()
        elif (error := inner.exception()) is not None:
            self.fail(error, inner._stages)
        else:
            self.resolve(inner.result(), inner._stages)
        self._backend.let_next_through(self)


class LimitedBackend(ExecutionBackend):
    """Passes calls on to another engine, which it does not own.

    Args:
        engine: The other engine.
        limit: How many calls it may have at a time; None: any number.

    Guarantees:

    - ``_lock`` protects ``_waiting`` and ``_out``. The other engine is not called under it, and no
      future is resolved.
    - A waiting call goes to the other engine in a thread of its own: the thread that resolves
      futures must not wait for an engine.
    """

    def __init__(self, engine: ExecutionBackend, limit: int | None = None) -> None:
        self.honours = engine.honours if limit is None else engine.honours - {"queue_timeout"}
        self._engine = engine
        self._limit = inf if limit is None else limit
        self._make_error: Callable[[], BaseException] | None = None
        self.renew_locks()
        renew_in_children(self)

    def renew_locks(self) -> None:
        # In the child of a fork, too, where there is none of the parent's calls. Reentrant, because
        # garbage collection may cancel a future while the lock is held.
        self._lock = threading.RLock()
        self._waiting: list[list[Any]] = []
        self._out: set[LimitedCall] = set()
        self._numbers = count()

    @property
    def concurrency(self) -> int:  # type: ignore[override] # the other engine's may change
        return int(min(self._engine.concurrency, self._limit))

    @property
    def shares_files(self) -> bool:  # type: ignore[override] # as above
        return self._engine.shares_files

    def depot(self) -> "Depot | None":
        return self._engine.depot()

    def check_restart(self) -> None:
        self._engine.check_restart()

    def restart(self) -> None:
        self.close()  # First, or a waiting call would go to the engine when another is cancelled.
        self._engine.restart()

    def unfinished(self) -> int:
        return len(self._waiting_calls())

    def facts(self) -> str:
        limit = "" if self._limit == inf else f", at most {self._limit:,} calls at a time"
        return f"{self._engine!r}{limit}"

    def submit(self, task: Task) -> Future[Any]:
        call = LimitedCall(task, self)
        with self._lock:
            if self._make_error is not None:
                raise self._make_error()
            goes = len(self._out) < self._limit
            if goes:
                self._out.add(call)
            else:
                call.entry = [urgency(task.options), next(self._numbers), call]
                heappush(self._waiting, call.entry)
        if goes:
            try:
                call.goes_on(self._engine.submit(task))
            except BaseException:
                self.let_next_through(call)
                raise
        return call

    def take_back(self, call: LimitedCall) -> bool:
        """Remove a call from the waiting ones; False if it does not wait."""
        with self._lock:
            entry, call.entry = call.entry, None
            if entry is None:
                return False
            entry[-1] = None
        assert call.task is not None  # It has not gone to the other engine.
        release_values(call.task.values, self._engine.depot)
        return True

    def let_next_through(self, ended: LimitedCall) -> None:
        """Pass on the next waiting call, because one has ended.

        Args:
            ended: The call that has ended.
        """
        with self._lock:
            self._out.discard(ended)
            following = self._next()
        if following is not None:
            _dispatcher.put((following, (self._pass_on,)))

    def break_with(self, make_error: Callable[[], BaseException]) -> None:
        """Fail all calls, and refuse further ones; the values of those that run are dropped.

        Args:
            make_error: Makes the error of a call.
        """
        with self._lock:
            self._make_error = make_error
            calls = [*self._waiting_calls(), *self._out]
        for call in calls:
            waited, inner = self.take_back(call), call.inner
            call.fail(make_error())
            if inner is not None and not waited:
                inner.cancel()

    def close(self) -> None:
        """Cancel the calls that wait."""
        for call in self._waiting_calls():
            call.cancel()

    def _waiting_calls(self) -> list[LimitedCall]:
        with self._lock:
            return [entry[-1] for entry in self._waiting if entry[-1] is not None]

    def _next(self) -> LimitedCall | None:
        """Return the next call that may go to the other engine; the caller holds ``_lock``."""
        while self._waiting and len(self._out) < self._limit:
            call: LimitedCall | None = heappop(self._waiting)[-1]
            if call is not None:
                call.entry = None
                self._out.add(call)
                return call
        return None

    def _pass_on(self, call: LimitedCall) -> None:
        task = call.task
        assert task is not None  # It has not gone to the other engine.
        if call.done():
            call.task = None
            release_values(task.values, self._engine.depot)
            self.let_next_through(call)
            return
        try:
            call.goes_on(self._engine.submit(task))
        except BaseException as error:
            call.fail(error)
            self.let_next_through(call)


def _start_anew() -> None:
    """In the child of a fork, begin anew: the threads belong to the parent."""
    global _dispatcher
    _dispatcher = Dispatcher("distribute_challenge executor")


_dispatcher = Dispatcher("distribute_challenge executor")
os.register_at_fork(after_in_child=_start_anew)
