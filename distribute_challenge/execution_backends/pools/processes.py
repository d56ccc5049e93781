"""Calls in processes of this machine, through loky.

loky gives up a whole pool when one of its processes dies, with everything that was handed to it. So no more is
handed to it than keeps it busy; the rest waits here and is safe. The few calls that a dead pool had are suspects:
they go, one at a time, through a pool of one process. If that dies, the culprit is known, and nobody else was harmed.

A call that is cancelled by force is interrupted in its process. If that does not help, the process is killed, and with it the
pool; the culprit is known then, too, and what else the pool had goes back into the line.

Guarantees:

- A call is in exactly one pool at any time, and its future resolves once.
- A pool's ``_lock`` protects its queue; no user code and no waiting happens under it.
"""

import contextlib
import itertools
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from typing import Any

from loky import ProcessPoolExecutor
from loky.process_executor import BrokenProcessPool, ShutdownExecutorError

from distribute_challenge.errors import CallCancelledError, WorkerLostError
from distribute_challenge.execution import become_worker, execute
from distribute_challenge.execution_backends.base import ExecutionBackend, closed
from distribute_challenge.execution_backends.frames import process_name, settle, task_frame
from distribute_challenge.execution_backends.pools.stop_record import Place, StopRecord
from distribute_challenge.function_cache import FunctionCache
from distribute_challenge.futures import Future
from distribute_challenge.interruption import GRACE, LOOK, Interruption
from distribute_challenge.messages import Task
from distribute_challenge.serialisation import ProjectImporter
from distribute_challenge.settings import worker_count

__all__ = ["ProcessesExecutionBackend"]

MOST_ATTEMPTS = 3  # Times that a call may take its process with it.


class ProcessesExecutionBackend(ExecutionBackend):
    """A pool of processes on this machine.

    Args:
        workers: Number of processes; None: one for each core.

    Example:
        >>> from distribute_challenge import compute_this
        >>> with ProcessesExecutionBackend(1) as backend:
        ...     compute_this(lambda x: x * x)(3).compute(backend=backend)
        9
    """

    def __init__(self, workers: int | None = None) -> None:
        self.concurrency = workers or worker_count()
        self._pool = _Pool(self.concurrency, 2 * self.concurrency, self._suspect)
        self._quarantine = _Pool(1, 1, self._convict)

    def submit(self, task: Task) -> Future[Any]:
        if self._pool.closed:
            raise closed()
        call = _Call(task)
        self._pool.add(call)
        return call.future

    def close(self) -> None:
        self._pool.close()
        self._quarantine.close()

    def _suspect(self, call: "_Call", error: BaseException) -> None:
        self._quarantine.add(call)

    def _convict(self, call: "_Call", error: BaseException) -> None:
        call.deaths += 1
        if call.deaths < MOST_ATTEMPTS:
            self._quarantine.add(call)
            return
        call.future.fail(
            WorkerLostError(
                f"{call.task.function.name}: the process that ran it died {call.deaths} times, the last time with "
                f"exit code {_exit_codes(error)}. Look for a crash in C code, os._exit, or too little memory."
            )
        )


class _Call:
    """A task on its way through the pools."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.future: Future[Any] = Future(task.function.name)
        self.sent = 0.0
        self.deaths = 0
        self.with_payload = False
        self.place: Place | None = None  # Set while a pool has it in work.


class _Pool:
    """A loky executor that is replaced when it breaks, and the calls that wait for it.

    Args:
        workers: Number of processes.
        limit: Calls handed to loky at the same time.
        on_death: Takes a call whose executor broke under it.
    """

    def __init__(self, workers: int, limit: int, on_death: Callable[[_Call, BaseException], None]) -> None:
        self._workers = workers
        self._limit = limit
        self._on_death = on_death
        self._lock = threading.RLock()
        self._waiting: deque[_Call] = deque()
        self._in_flight = 0
        self.closed = False
        self._executor: Any = None
        self._known: set[str] = set()
        self._record = StopRecord(limit)
        self._free = list(range(limit))
        self._numbers = itertools.count(1)
        self._sacrificed: Any = None

    def add(self, call: _Call) -> None:
        with self._lock:
            if not self.closed:
                self._waiting.append(call)
                call.future.withdraw_with(partial(self._withdraw, call))
                call.future.stop_with(partial(self._stop, call))
                self._feed()
                return
        call.future.fail(closed())

    def close(self) -> None:
        with self._lock:
            if self.closed:
                return
            self.closed = True
            waiting, self._waiting = list(self._waiting), deque()
            executor, self._executor = self._executor, None
        for call in waiting:
            call.future.withdraw_with(lambda: True)
            call.future.cancel()
        if executor is not None:
            executor.shutdown(wait=True, kill_workers=True)
        self._record.close()

    def _withdraw(self, call: _Call) -> bool:
        with self._lock:
            if call in self._waiting:
                self._waiting.remove(call)
                return True
        return False

    def _stop(self, call: _Call) -> None:
        with self._lock:
            executor, place = self._executor, call.place
            if place is None:
                return  # It has just ended.
            self._record.stop(place)
            pid = self._record.runner(place)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, LOOK)
            timer = threading.Timer(GRACE, self._kill, (executor, place))
            timer.daemon = True
            timer.start()

    def _kill(self, executor: Any, place: Place) -> None:
        with self._lock:
            pid = self._record.runner(place)
            if pid is not None and self._executor is executor and pid in executor._processes:
                self._sacrificed = executor
                os.kill(pid, signal.SIGKILL)

    def _feed(self) -> None:
        while self._waiting and self._in_flight < self._limit:
            if self._executor is None:
                self._executor = ProcessPoolExecutor(self._workers, initializer=_listen, initargs=(self._record,))
                self._known = set()
            call = self._waiting.popleft()
            call.place = Place(self._free.pop(), next(self._numbers))
            digest = call.task.function.digest
            payload = call.task.function.payload if call.with_payload or digest not in self._known else None
            self._known.add(digest)
            self._in_flight += 1
            call.sent = time.time()
            inner = self._executor.submit(_run_in_child, task_frame(call.task), payload, call.place)
            inner.add_done_callback(partial(self._done, call, self._executor))

    def _done(self, call: _Call, executor: Any, inner: Any) -> None:
        error = inner.exception()
        with self._lock:
            self._in_flight -= 1
            assert call.place is not None
            self._free.append(call.place.slot)
            call.place = None
            if isinstance(error, BrokenProcessPool) and self._executor is executor:
                self._executor = None
            self._feed()
        if call.future.cancelled():
            return
        if isinstance(error, ShutdownExecutorError):
            call.future.fail(CallCancelledError(f"{call.task.function.name}: its pool was closed while it ran"))
        elif isinstance(error, BrokenProcessPool) and self._sacrificed is executor:
            self.add(call)
        elif isinstance(error, BrokenProcessPool):
            self._on_death(call, error)
        elif error is not None:
            call.future.fail(error)
        elif settle(call.future, call.task, call.sent, inner.result()) is not None:
            # The process that got it has not seen the function yet; this time it goes along.
            call.with_payload = True
            self.add(call)


def _exit_codes(error: BaseException) -> str:
    _, _, codes = str(error).partition("exit codes of the workers are ")
    return codes.partition("\n")[0] or "unknown"


_child_payloads: dict[str, bytes] = {}
_child_cache = FunctionCache(_child_payloads.get, ProjectImporter())


def _listen(record: StopRecord) -> None:
    """Runs in each process of the pool, when it starts."""
    global _interruption
    become_worker()
    _interruption = _CallInterruption(record)
    _interruption.listen()


class _CallInterruption(Interruption):
    """Where a process looks whether the one call that it runs is to stop."""

    def __init__(self, record: StopRecord) -> None:
        super().__init__(lambda number: record.is_unwanted(self.place), lambda number: None)
        self._record = record
        self.place = Place(0, 0)

    @contextmanager
    def for_call(self, place: Place) -> Iterator[Interruption]:
        self.place = place
        self._record.begin(place)
        try:
            yield self
        finally:
            self._record.end(place)


_interruption: _CallInterruption


def _run_in_child(frame: bytes, payload: bytes | None, place: Place) -> list[bytes]:
    """Runs in a process of the pool: one frame, with the function's payload if it may be new here."""
    if payload is not None:
        _child_payloads[sha256(payload).hexdigest()] = payload
    try:
        with _interruption.for_call(place) as interruption:
            frames = execute(frame, _child_cache, process_name("processes"), interruption=interruption)
            return list(frames)
    finally:
        _child_payloads.clear()
