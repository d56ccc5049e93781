"""Plain Celery, with the settings that its documentation recommends against lost tasks."""

import os
from collections.abc import Callable
from typing import Any

from celery import Celery as Application
from celery.result import AsyncResult

from benchmarks.faults import functions
from benchmarks.faults.adapters.base import Adapter

__all__ = ["Celery", "app"]

ADDRESS = os.environ.get("FAULTS_ADDRESS", "")

app = Application("faults", broker=ADDRESS, backend=ADDRESS)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    # As the documentation's page on optimising says: with late acknowledgement, a worker reserves
    # only what it runs.
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
)
tasks = {
    function: app.task(function) for function in (functions.work, functions.die, functions.endless)
}


class Celery(Adapter):
    """A client of plain Celery: calls are tasks, and results are found by the task's id."""

    packages = ("celery", "kombu", "redis")

    def submit(self, function: Callable[..., int], arguments: list[Any]) -> Any:
        return tasks[function].delay(*arguments)

    def is_done(self, call: Any) -> bool:
        return bool(call.ready())

    def result(self, call: Any) -> int:
        return int(call.get())

    def cancel(self, call: Any) -> None:
        # SIGTERM, the default, has no effect before C code is done.
        call.revoke(terminate=True, signal="SIGKILL")

    def submit_detached(self, function: Callable[..., int], arguments: list[Any]) -> str:
        return str(self.submit(function, arguments).id)

    def attach(self, name: str) -> Any:
        return AsyncResult(name, app=app)
