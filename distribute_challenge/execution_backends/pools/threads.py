"""The engine that runs calls in threads of this process.

It is for calls that wait, or that release the interpreter lock.
"""

import threading
from typing import Any

from distribute_challenge.core.futures import Future
from distribute_challenge.core.messages import Task
from distribute_challenge.core.units import amount
from distribute_challenge.execution.interruption import ThreadInterruption
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.execution_backends.frames import process_name
from distribute_challenge.execution_backends.local import run_here
from distribute_challenge.execution_backends.memory_queue import MemoryQueue, memory_queue
from distribute_challenge.execution_backends.policy import OPTIONS
from distribute_challenge.execution_backends.pools.pool import Pool, PoolCall
from distribute_challenge.settings import worker_count

__all__ = ["ThreadsExecutionBackend"]

CLOSE_WITHIN = (
    0.2  # Seconds for stopped calls to clean up; a thread in C code does not notice the stop.
)


class ThreadsExecutionBackend(ExecutionBackend):
    """The engine ``"threads"``: a pool of threads of this process.

    A call that is cancelled by force ends at its next line of Python: a thread in C code, such as
    `time.sleep`, cannot be stopped. When the pool is closed, or the program ends, running calls are
    cancelled in this way.

    Args:
        workers: Number of threads; None: four for each core, as threads are for waiting.

    Examples:
        >>> from distribute_challenge import compute_this
        >>> with ThreadsExecutionBackend(2) as backend:
        ...     compute_this(lambda x: x * x)(3).compute(backend=backend)
        9
    """

    honours = OPTIONS - {"queue"}
    shares_files = True

    def __init__(self, workers: int | None = None) -> None:
        self.concurrency = workers or 4 * worker_count()
        self._pool = Pool(self.concurrency, lambda pool: _ThreadRunner(), CLOSE_WITHIN)

    def submit(self, task: Task) -> Future[Any]:
        return self._pool.submit(task)

    def open_queue(
        self,
        id: str,  # noqa: A002
        maxsize: int,
        lease: float | None,
        *,
        own: bool,
    ) -> MemoryQueue:
        # No lease is ever over: the threads that hold items end with the queue.
        return memory_queue(id, maxsize)

    def sized(self, workers: int) -> ExecutionBackend:
        return ThreadsExecutionBackend(workers)

    def unfinished(self) -> int:
        return self._pool.unfinished()

    def facts(self) -> str:
        return amount(self.concurrency, "worker")

    def close(self) -> None:
        self._pool.close()


class _ThreadRunner:
    """Runs calls in the worker's own thread; each worker of a thread pool has one.

    Guarantees: ``_lock`` orders `stop` and the end of the call.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._call: PoolCall | None = None
        self.worker = process_name("threads")
        self._interruption = ThreadInterruption()

    def run(self, call: PoolCall) -> None:
        with self._lock:
            self._call, self._interruption = call, ThreadInterruption()
        try:
            if not call.done():
                with self._interruption.listening():
                    run_here(call.task, call, "threads")
        finally:
            with self._lock:
                self._call = None

    def stop(self, call: PoolCall) -> None:
        with self._lock:
            if self._call is call:
                self._interruption.stop()

    def abandon(self) -> None:
        with self._lock:
            if self._call is not None:
                self._interruption.stop()

    def close(self) -> None:
        pass

    def forget(self) -> None:
        pass
