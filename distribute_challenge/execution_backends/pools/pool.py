"""A pool: waiting calls, and workers of this process that take them, each in its own thread.

    submit ──► waiting, by priority and age ──► a worker's thread ──► its `Runner` ──► the future
                  │                     ▲                                │
                  │                     └────── begun again ◄────────────┘ its process died
                  └─ too late: QueueTimeoutError

The `Runner` decides what runs a call, the thread itself or a process that belongs to it. All else
is the same for both.
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
from distribute_challenge.core.compact import compact
from distribute_challenge.core.condition import Condition
from distribute_challenge.core.forks import generation
from distribute_challenge.core.futures import Future
from distribute_challenge.core.lazy_future import OFTEN_SET
from distribute_challenge.core.messages import Task
from distribute_challenge.execution_backends.base import closed
from distribute_challenge.execution_backends.policy import begin_by, queue_timeout_error, urgency
from distribute_challenge.execution_backends.tried_call import TriedCall

__all__ = ["Pool", "PoolCall", "Runner"]

SPARE_LIMITS = (
    100  # Queue times of calls that are not waiting any more, before they are removed; a guess.
)


@compact(*OFTEN_SET, "task", "attempts", "_pool", "number", "entry", "runner")
class PoolCall(TriedCall):
    """A future with its pool's data about the call; `Pool.submit` makes one for each call.

    Args:
        task: The task to run.
        pool: The pool where it waits and runs.

    Attributes:
        number: Its place in the order in which the calls of its pool were made.
        entry: Its entry among the waiting calls; None if it does not wait.
        runner: The runner that runs it; None if it does not run.
    """

    entry: "list[Any] | None" = None
    runner: "Runner | None" = None
    number = 0

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

    def stage(self) -> str:
        runner = self.runner
        return "pending" if runner is None else f"running on {runner.worker}"


class Runner(Protocol):
    """The interface with which a worker of a pool runs calls.

    Only the worker's own thread calls the methods, except `stop` and `abandon`.

    """

    @property
    def worker(self) -> str:
        """Name of what runs the calls, as in a `Timeline`; any thread may ask for it."""

    def run(self, call: PoolCall) -> None:
        """Run a call and settle it, or give it back with `Pool.put`."""

    def stop(self, call: PoolCall) -> None:
        """Stop a call that is cancelled already, if it still runs here."""

    def abandon(self) -> None:
        """Stop the running call without waiting for it, because the pool is closed."""

    def close(self) -> None:
        """Free the runner's resources."""

    def forget(self) -> None:
        """Close the parent's resources in the child of a fork."""


class Pool:
    """Waiting calls, and the workers that run them; each of the two engines has one.

    Args:
        workers: How many calls run at the same time at most.
        new_runner: Makes a worker's runner; the worker's thread calls it with the pool when it gets
            its first call.
        close_within: Seconds that `close` waits for workers.

    Guarantees:

    - Until it is done, a waiting call is in ``_waiting`` and a running one in ``_running``.
      ``_lock`` protects both.
    - No user code runs and no future is resolved while ``_lock`` is held.
    - Calls of one priority begin in the order in which they were made. A call whose process died
      keeps its place.
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
        # Reentrant, because garbage collection may cancel a future while the lock is held.
        self._lock = threading.RLock()
        self._called = Condition(self._lock)  # Tells workers that there is a call.
        self._limited = Condition(
            self._lock
        )  # Tells the thread that watches queue times that there is an earlier one.
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
            call.cancel(force=True)  # It may wait or run, and the caller does not get the future.
            raise
        return call

    def put(self, call: PoolCall) -> None:
        """Add a new call, or a call that has to be begun again.

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
            # A woken worker still counts as idle, as its call still counts as waiting.
            if len(self._waiting) > self._idle and len(self._threads) < self.workers:
                self._start_worker(entry)

    def take_back(self, call: PoolCall) -> bool:
        """Remove a call from the waiting ones; False if it does not wait."""
        with self._lock:
            entry, call.entry = call.entry, None
            if entry is not None:
                entry[-1] = None
            return entry is not None

    def unfinished(self) -> int:
        """Return the number of calls as `ExecutionBackend.unfinished` does."""
        with self._lock:
            calls = self._calls()
        return sum(not call.task.chunk and not call.done() for call in calls)

    def _calls(self) -> list[PoolCall]:
        """Return all calls that wait or run; the caller holds ``_lock``."""
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
        except RuntimeError:  # The interpreter is ending, and starts no more threads.
            if self._threads:
                return
            entry[-1] = None
            raise closed() from None
        self._threads.append(thread)

    def _work(self) -> None:
        runner = self._new_runner(self)
        with self._lock:
            self._runners.append(runner)
        # Each call has a method of its own: a frame that waits for the next call would keep the
        # last one alive, with all it refers to.
        while self._run_next(runner):
            pass
        runner.close()

    def _run_next(self, runner: Runner) -> bool:
        """Wait for a call and run it; return False if the pool is closed."""
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
                call.drop_arguments()
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

    # --- calls that no worker begins in time

    def _limit(self, call: PoolCall, entry: list[Any]) -> None:
        if len(self._limits) > 2 * len(self._waiting) + SPARE_LIMITS:
            self._limits = [limit for limit in self._limits if limit[-1][-1] is not None]
            heapify(self._limits)
        heappush(self._limits, (begin_by(call.task, call.attempts), call.number, entry))
        if self._watcher is None:
            watcher = threading.Thread(
                target=self._watch, name="distribute_challenge queue times", daemon=True
            )
            with contextlib.suppress(RuntimeError):  # The interpreter starts no more threads.
                watcher.start()
                self._watcher = watcher
        elif self._limits[0][-1] is entry:
            self._limited.notify()

    def _watch(self) -> None:
        while (late := self._next_late()) is not None:
            self._fail_late(late, clock.now())
            del late

    def _next_late(self) -> PoolCall | None:
        """Wait for the next call that no worker has begun in time; None: no call has a limit."""
        with self._lock:
            while self._limits and not self.closed:
                due, _, entry = self._limits[0]
                call: PoolCall | None = entry[-1]
                if call is None:
                    heappop(self._limits)  # The call does not wait any more.
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
        advice = (
            f"{some} busy: have more of them (DISTRIBUTE_CHALLENGE_WORKERS), or give the call "
            f"more time"
        )
        call.fail(queue_timeout_error(call.task, call.attempts, now, advice))

    def _forget(self) -> None:
        """Drop the workers and the calls after a fork: they belong to the parent."""
        for runner in self._runners:
            runner.forget()
        self._set_up()


_all: "WeakSet[Pool]" = WeakSet()


def _forget_all() -> None:
    for pool in list(_all):
        pool._forget()


os.register_at_fork(after_in_child=_forget_all)
