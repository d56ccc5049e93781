"""Each call in a Python process of its own: nothing that one call does can be seen by the next."""

import pickle
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from distribute_challenge import settings
from distribute_challenge.execution_backends import (
    Attempt,
    ExecutionBackend,
    Future,
    Problem,
    Task,
    lost,
    settle,
    task_frame,
)
from distribute_challenge.settings import worker_count

# What the other process runs: a payload and a frame come in, reply frames go out.
WORKER = """
import os, pickle, sys
from distribute_challenge.execution.run import become_worker, execute
from distribute_challenge.execution.function_cache import FunctionCache
from distribute_challenge.serialisation.modules.project_importer import ProjectImporter

replies = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)  # What the call prints must not end up among the replies.
become_worker()
payload, frame = pickle.load(sys.stdin.buffer)
functions = FunctionCache(lambda digest: payload, ProjectImporter())
pickle.dump(list(execute(frame, functions, f"fresh@{os.getpid()}")), replies)
replies.close()
"""


class FreshInterpreterBackend(ExecutionBackend):
    """Runs each call in a new Python process, as many at a time as there are cores."""

    honours = ExecutionBackend.honours | {"at_most_once"}

    def __init__(self) -> None:
        self.concurrency = worker_count()
        self._threads = ThreadPoolExecutor(self.concurrency)

    def submit(self, task: Task) -> Future[Any]:
        future: Future[Any] = Future(task.function.name)
        waiting = self._threads.submit(self._run, task, future)
        future.withdraw_with(waiting.cancel)
        future.running_with(waiting.running)
        return future

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)

    @staticmethod
    def _run(task: Task, future: Future[Any]) -> None:
        message = pickle.dumps((task.function.payload, task_frame(task)))
        attempts = task.attempts
        while True:
            sent = time.time()
            process = subprocess.run(
                [sys.executable, "-c", WORKER], input=message, stdout=subprocess.PIPE, check=False
            )
            if process.returncode == 0:
                settle(future, task, sent, pickle.loads(process.stdout))
                return
            reason = f"its process ended with exit code {process.returncode}"
            attempts += (Attempt("fresh", sent, time.time(), reason, task.calls),)
            if not lost(
                future, task, attempts, Problem("lost", reason), allowed=settings.attempts()
            ):
                return
