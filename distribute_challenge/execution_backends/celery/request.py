"""What the worker's main process does when a child cannot answer any more: it answers in its place."""

import time
from functools import cache
from typing import Any

from celery.exceptions import TimeLimitExceeded, WorkerLostError
from celery.worker.request import Request

from distribute_challenge.execution_backends.celery.connection import connect
from distribute_challenge.execution_backends.celery.line import Line
from distribute_challenge.execution_backends.celery.replying import send_reply
from distribute_challenge.execution_backends.celery.stopping import stopper
from distribute_challenge.messages import Problem, Reply

__all__ = ["BatchRequest"]


class BatchRequest(Request):  # type: ignore[misc] # Celery has no types
    """One batch in the worker's main process."""

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        super().on_accepted(pid, time_accepted)
        stopper.accepted(self)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """The child died, was killed because a call in it did not stop in time, or could not run the batch."""
        error = getattr(exc_info.exception, "exc", exc_info.exception)  # Billiard wraps what a child raised.
        if stopper.is_concerned(self.id):
            if not stopper.is_abandoned(self.id):
                self._answer("cancelled", "it was cancelled")
        elif isinstance(error, TimeLimitExceeded):
            self._answer("timeout", "it did not react when its time was over, so its process was killed")
        elif isinstance(error, WorkerLostError | SystemExit | KeyboardInterrupt):
            self._answer("lost", f"the worker process died ({error})")
        else:
            self._answer("lost", f"the worker could not run it ({type(error).__name__}: {error})")
        return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    def _answer(self, kind: str, text: str) -> None:
        worker = f"{self.hostname}/{self.worker_pid}"
        reply = Reply(self.id, worker, time.time(), problem=Problem(kind, f"{text} on {self.hostname}"))
        send_reply(_line(self._app.conf.broker_url), self.request_dict["reply_to"], reply.encode())


@cache
def _line(url: str) -> Line:
    return Line(connect(url))
