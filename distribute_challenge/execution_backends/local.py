"""The engine ``"local"``: calls run in the caller's thread, through the same bytes as elsewhere."""

import threading
from typing import Any

from distribute_challenge.core import clock
from distribute_challenge.core.futures import Future
from distribute_challenge.core.messages import Task
from distribute_challenge.execution.function_cache import FunctionCache
from distribute_challenge.execution.run import execute
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.execution_backends.frames import process_name, settle, task_frame
from distribute_challenge.execution_backends.memory_queue import MemoryQueue, memory_queue
from distribute_challenge.execution_backends.policy import OPTIONS

__all__ = ["LocalExecutionBackend", "run_here"]


class LocalExecutionBackend(ExecutionBackend):
    """Runs each call in `submit`: for debugging, tests, and calls inside calls.

    It accepts every option, even the name of a queue, so that a program need not be changed to be
    debugged.

    Examples:
        >>> from distribute_challenge import compute_this
        >>> compute_this(lambda x: x * x)(3).compute(backend=LocalExecutionBackend())
        9
    """

    honours = OPTIONS
    shares_files = True

    def submit(self, task: Task) -> Future[Any]:
        future: Future[Any] = Future(task.function.name)
        run_here(task, future, "local")
        return future

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


_payloads = threading.local()


def run_here(task: Task, future: Future[Any], kind: str) -> None:
    """Run a task in this thread and resolve its future.

    Args:
        task: The task to run.
        future: The future to resolve.
        kind: Name of the engine, for the timeline.
    """
    cache: FunctionCache | None = getattr(_payloads, "cache", None)
    if cache is None:
        # One cache per thread. It needs no importer, as this process has the modules already.
        cache = _payloads.cache = FunctionCache(lambda digest: _payloads.payload)
    _payloads.payload = task.function.payload
    problem = settle(
        future, task, clock.now(), execute(task_frame(task), cache, process_name(kind))
    )
    assert problem is None  # The process is the same, with the same version and the payload.
