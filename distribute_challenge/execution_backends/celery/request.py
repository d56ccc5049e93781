"""What the worker's main process does when a child cannot answer any more: it answers in its place."""

import socket
import time
from functools import cache
from typing import Any

import redis
from celery.exceptions import TimeLimitExceeded, WorkerLostError
from celery.worker.request import Request

from distribute_challenge.errors import VersionMismatchError
from distribute_challenge.execution_backends.celery.connection import Broker, connect
from distribute_challenge.execution_backends.celery.line import Line
from distribute_challenge.execution_backends.celery.replying import send_reply
from distribute_challenge.log import logger
from distribute_challenge.messages import Batch, Problem, Reply

__all__ = ["BatchRequest", "answer"]


class BatchRequest(Request):  # type: ignore[misc] # Celery has no types
    """One batch in the worker's main process."""

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """The child died, was killed because a call in it did not stop in time, or could not run the batch."""
        error = getattr(exc_info.exception, "exc", exc_info.exception)  # Billiard wraps what a child raised.
        if isinstance(error, TimeLimitExceeded):
            self._answer("timeout", "it did not react when its time was over, so its process was killed")
        elif isinstance(error, WorkerLostError | SystemExit | KeyboardInterrupt):
            self._answer("lost", f"the worker process died ({error})")
        else:
            self._answer("lost", f"the worker could not run it ({type(error).__name__}: {error})")
        return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    def _answer(self, kind: str, text: str) -> None:
        try:
            batch = self._app.gate.batch_of(self.message._raw)
        except VersionMismatchError:
            return  # The child was to say that it cannot be read, and nobody knows more.
        answer(
            self._app.conf.broker_url,
            batch,
            Problem(kind, f"{text} on {self.hostname}"),
            f"{self.hostname}/{self.worker_pid}",
        )


def answer(url: str, batch: Batch, problem: Problem, worker: str = "") -> None:
    """Tell a batch's client from this main process why there are no outcomes.

    Args:
        url: The broker.
        batch: The batch.
        problem: What there is in their place.
        worker: The process that had it, if one had.
    """
    connection = _connection(url)
    reply = Reply(batch.id, worker or socket.gethostname(), time.time(), problem=problem)
    try:
        send_reply(_line(url), connection.keyring, batch.reply_to, reply.encode())
    except redis.ResponseError as error:
        # Somebody has put something else in the place of the client's list. This process has others to serve.
        logger.warning("cannot tell the client what became of %s: %s", batch.name, error)


@cache
def _connection(url: str) -> Broker:
    return connect(url)


@cache
def _line(url: str) -> Line:
    return Line(_connection(url))
