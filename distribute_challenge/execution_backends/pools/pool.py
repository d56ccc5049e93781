"""A pool: calls that wait, and workers of this process that take them, each in a thread of its own.

    submit ──► waiting: by priority, then first come, first served ──► a worker's thread ──► its `Runner` ──► the future
                  └─ too late: QueueTimeoutError                            ▲                    │
                                                                            └── begun again ◄────┘ its process died

What runs a call, a thread itself or a process that belongs to it, is the `Runner`'s business, and
all else is the same for both.
"""

import contextlib
import os
import threading
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any, Protocol
from weakref import WeakSet

from distribute_challenge.core import clock
from distribute_challenge.core.condition import Condition
from distribute_challenge.core.forks import generation
from distribute_challenge.core.futures import Future
from distribute_challenge.core.messages import Task
from distribute_challenge.errors import Attempt
from distribute_challenge.execution_backends.base import closed
from distribute_challenge.execution_backends.loss_report import described
from distribute_challenge.execution_backends.policy import begin_by, queue_timeout_error, urgency

__all__ = ["Pool", "PoolCall", "Runner"]

SPARE_LIMITS = (
    100  # Queue times of calls that have begun in time, before they are cleared away; a guess.
)


class PoolCall(Future[Any]):
    """A future, with what its pool knows of the call.

    Args:
        task: What to run.
        pool: Where it waits and runs.

    Attributes:
        task: What to run.
        attempts: The times that it was begun and its process died.
        unbegun: The times that its process died before it had begun.
        number: The call's place in the order in which the calls of its pool were made.
        entry: Where it waits; None: it does not.
        runner: What runs it; None: nothing does.
    """

    entry: "list[Any] | None" = None
    runner: "Runner | None" = None
    number = 0
    unbegun: tuple[Attempt, ...] = ()

    def __init__(self, task: Task, pool: "Pool") -> None:
        self.name = task.function.name
        self.task = task
        self.attempts = task.attempts
        self._pool = pool
        if generation[0]:
            self._generation = generation[0]

    def cancel(self, force: bool = False) -> bool:
        if self.done():
            return self.cancelled()
        if self._pool.take_back(self):
            return self._cancel()
        if force and self._cancel():
            self._pool.stop(self)
        return self.cancelled()

    def running(self) -> bool:
        return self.runner is not None and not self.done()

    def _call_text(self) -> str:
        return described(self.task)


class Runner(Protocol):
    """What one worker of a pool runs calls with.

    All but `stop` and `abandon` is called by the worker's thread alone.
    """

    def run(self, call: PoolCall) -> None:
        """Run a call and settle it, or give it back with `Pool.put`."""

    def stop(self, call: PoolCall) -> None:
        """Stop a call that is cancelled already, if it still runs here."""

    def abandon(self) -> None:
        """The pool is closed: stop what runs here, without waiting for it."""

    def close(self) -> None:
        """Give back what it holds."""

    def forget(self) -> None:
        """In the child of a fork: let go of what belongs to the parent."""


class Pool:
    """Calls that wait, and the workers that run them.

    Args:
        workers: How many calls run at the same time at most.
        new_runner: Makes what a worker runs calls with; called with the pool by the worker's
            thread, when it gets its first call.
        close_within: Seconds that `close` waits for workers.

    Guarantees:

    - A call that waits is in ``_waiting``, and one that runs in ``_running``, until it is done.
      ``_lock`` protects both.
    - No user code runs under ``_lock``, and no future is resolved.
    - Calls of one priority begin in the order in which they were made. One whose process died keeps
      its place.
    """

    def __init__(
        self, workers: int, new_runner: "Callable[[Pool], Runner]", close_within: float
    ) -> None:
        self.workers = workers
        self._new_runner = new_runner
        self._close_within = close_within
        self.closed = False
        self._set_up()
        _all.add(self)

    def _set_up(self) -> None:
        # Reentrant: garbage that is collected under it may cancel a future.
        self._lock = threading.RLock()
        self._called = Condition(self._lock)  # There is a call, for workers,
        self._limited = Condition(
            self._lock
        )  # or a limit, for the thread that looks after queue times.
        self._waiting: list[list[Any]] = []
        self._limits: list[tuple[float, int, list[Any]]] = []
        self._running: dict[Runner, PoolCall] = {}
        self._runners: list[Runner] = []
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._watcher: threading.Thread | None = None
        self._numbers = count(1)

    def submit(self, task: Task) -> PoolCall:
        """Add a new call.

        Raises:
            CallCancelledError: The pool is closed.
        """
        call = PoolCall(task, self)
        try:
            self.put(call)
        except KeyboardInterrupt:
            call.cancel(force=True)  # The caller does not get it, and it may be waiting or running.
            raise
        return call

    def put(self, call: PoolCall) -> None:
        """Add a call, or one that is to be begun again.

        Raises:
            CallCancelledError: The pool is closed.
        """
        with self._lock:
            if self.closed:
                raise closed()
            call.number = call.number or next(self._numbers)
            call.runner = None
            entry = call.entry = [urgency(call.task.options), call.number, call]
            heappush(self._waiting, entry)
            if call.task.options.queue_timeout is not None:
                self._limit(call, entry)
            self._called.notify()
            # Those that wait and have been woken count as idle, as their calls count as waiting.
            if len(self._waiting) > self._idle and len(self._threads) < self.workers:
                self._start_worker(entry)

    def take_back(self, call: PoolCall) -> bool:
        """Take a call back; False if it does not wait."""
        with self._lock:
            entry, call.entry = call.entry, None
            if entry is not None:
                entry[-1] = None
            return entry is not None

    def unfinished(self) -> int:
        """As `ExecutionBackend.unfinished`."""
        with self._lock:
            calls = self._calls()
        return sum(not call.task.chunk and not call.done() for call in calls)

    def _calls(self) -> list[PoolCall]:
        """All that wait or run; ``_lock`` is held."""
        return [entry[-1] for entry in self._waiting if entry[-1] is not None] + list(
            self._running.values()
        )

    def stop(self, call: PoolCall) -> None:
        """Stop a call that is cancelled already, if it runs."""
        runner = call.runner
        if runner is not None:
            runner.stop(call)

    def close(self) -> None:
        """Cancel all calls, and end the workers."""
        with self._lock:
            if self.closed:
                return
            self.closed = True
            calls, runners = self._calls(), list(self._runners)
            self._waiting.clear()
            self._called.notify_all()
            self._limited.notify_all()
        for call in calls:
            Future.cancel(call)
        for runner in runners:
            runner.abandon()
        deadline = clock.monotonic() + self._close_within
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - clock.monotonic()))

    # --- the workers

    def _start_worker(self, entry: list[Any]) -> None:
        name = f"distribute_challenge_{len(self._threads)}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # The interpreter ends, and starts no more.
            if self._threads:
                return
            entry[-1] = None
            raise closed() from None
        self._threads.append(thread)

    def _work(self) -> None:
        runner = self._new_runner(self)
        with self._lock:
            self._runners.append(runner)
        # A method for each call: while there is none, a frame would keep the last one, and all it
        # refers to.
        while self._run_next(runner):
            pass
        runner.close()

    def _run_next(self, runner: Runner) -> bool:
        """Wait for a call and run it; False: the pool is closed."""
        call = self._next(runner)
        if call is None:
            return False
        try:
            if begin_by(call.task, call.attempts) <= (now := clock.now()):
                self._fail_late(call, now)
            else:
                runner.run(call)
        except BaseException as error:
            call.fail(error)
        finally:
            with self._lock:
                del self._running[runner]
                if call.runner is runner:
                    call.runner = None
            if call.done():
                # They may be large, and the program may keep the future for long.
                call.task = call.task._replace(arguments=b"")
        return True

    def _next(self, runner: Runner) -> PoolCall | None:
        with self._lock:
            while not self.closed:
                while self._waiting:
                    call: PoolCall | None = heappop(self._waiting)[-1]
                    if call is not None:
                        self.take_back(call)
                        call.runner = runner
                        self._running[runner] = call
                        return call
                self._idle += 1
                self._called.wait()
                self._idle -= 1
            return None

    # --- calls that nothing begins in time

    def _limit(self, call: PoolCall, entry: list[Any]) -> None:
        if len(self._limits) > 2 * len(self._waiting) + SPARE_LIMITS:
            self._limits = [limit for limit in self._limits if limit[-1][-1] is not None]
            heapify(self._limits)
        heappush(self._limits, (begin_by(call.task, call.attempts), call.number, entry))
        if self._watcher is None:
            watcher = threading.Thread(
                target=self._watch, name="distribute_challenge queue times", daemon=True
            )
            with contextlib.suppress(RuntimeError):  # The interpreter ends, and starts no more.
                watcher.start()
                self._watcher = watcher
        elif self._limits[0][-1] is entry:
            self._limited.notify()

    def _watch(self) -> None:
        while (late := self._next_late()) is not None:
            self._fail_late(late, clock.now())
            del late

    def _next_late(self) -> PoolCall | None:
        """Wait for the next call that nothing has begun in time; None: no call has a limit."""
        with self._lock:
            while self._limits and not self.closed:
                due, _, entry = self._limits[0]
                call: PoolCall | None = entry[-1]
                if call is None:
                    heappop(self._limits)  # It does not wait any more.
                elif due > (now := clock.now()):
                    self._limited.wait(due - now)
                else:
                    self.take_back(call)
                    return call
            self._watcher = None
            return None

    def _fail_late(self, call: PoolCall, now: float) -> None:
        some = (
            f"all {self.workers} workers of this pool are"
            if self.workers > 1
            else "the one worker of this pool is"
        )
        advice = f"{some} busy: have more of them (DISTRIBUTE_CHALLENGE_WORKERS), or give the call more time"
        call.fail(queue_timeout_error(call.task, call.attempts, now, advice))

    def _forget(self) -> None:
        """In the child of a fork: the workers and the calls are the parent's."""
        for runner in self._runners:
            runner.forget()
        self._set_up()


_all: "WeakSet[Pool]" = WeakSet()


def _forget_all() -> None:
    for pool in list(_all):
        pool._forget()


os.register_at_fork(after_in_child=_forget_all)
