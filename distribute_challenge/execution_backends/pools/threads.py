"""Calls in threads of this process: for work that waits, or that leaves the interpreter lock."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from distribute_challenge.execution_backends.base import ExecutionBackend, closed
from distribute_challenge.execution_backends.local import run_here
from distribute_challenge.futures import Future
from distribute_challenge.interruption import ThreadInterruption
from distribute_challenge.messages import Task
from distribute_challenge.settings import worker_count

__all__ = ["ThreadsExecutionBackend"]


class ThreadsExecutionBackend(ExecutionBackend):
    """A pool of threads.

    What is cancelled by force ends at its next line of Python: nothing can stop a thread in C code, a `time.sleep` among it.

    Args:
        workers: Number of threads; None: four for each core, as threads are for waiting.

    Example:
        >>> from distribute_challenge import compute_this
        >>> with ThreadsExecutionBackend(2) as backend:
        ...     compute_this(lambda x: x * x)(3).compute(backend=backend)
        9
    """

    def __init__(self, workers: int | None = None) -> None:
        self.concurrency = workers or 4 * worker_count()
        self._pool = ThreadPoolExecutor(self.concurrency, "distribute_challenge")

    def submit(self, task: Task) -> Future[Any]:
        future: Future[Any] = Future(task.function.name)
        interruption = ThreadInterruption()
        try:
            inner = self._pool.submit(self._run, task, future, interruption)
        except RuntimeError:
            raise closed() from None
        future.withdraw_with(inner.cancel)
        future.stop_with(interruption.stop)
        # Closing the pool cancels what waits in it, and this end has to know.
        inner.add_done_callback(lambda _: inner.cancelled() and future.cancel())
        return future

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    @staticmethod
    def _run(task: Task, future: Future[Any], interruption: ThreadInterruption) -> None:
        try:
            with interruption.listening():
                run_here(task, future, "threads")
        except BaseException as error:
            future.fail(error)
