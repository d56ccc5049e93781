"""What the worker's main process does when a child cannot answer any more: it answers in its place."""

import socket
from collections.abc import Mapping
from functools import cache
from typing import Any

import redis
from celery.exceptions import Ignore, TimeLimitExceeded, WorkerLostError
from celery.worker import state
from celery.worker.request import Request

from distribute_challenge.core.messages import Batch, Problem, ProblemKind
from distribute_challenge.errors import VersionMismatchError
from distribute_challenge.execution_backends.celery.broker.connection import Broker, connect
from distribute_challenge.execution_backends.celery.broker.line import Line
from distribute_challenge.execution_backends.celery.broker.presence import WorkerPresence, workers
from distribute_challenge.execution_backends.celery.worker.deaths import appoint
from distribute_challenge.execution_backends.celery.worker.failed_task import FailedTaskError
from distribute_challenge.execution_backends.celery.worker.failure_log import left_out
from distribute_challenge.execution_backends.celery.worker.replying import (
    ANSWER_WITHIN,
    send_problem,
)
from distribute_challenge.execution_backends.celery.worker.stopping import stopper
from distribute_challenge.log import logger

__all__ = ["BatchRequest", "answer", "present", "told_to_end"]


def told_to_end() -> bool:
    """Whether somebody has told this worker to end: Celery keeps the exit code until it comes by."""
    return any(
        code is not None and code is not False
        for code in (state.should_stop, state.should_terminate)
    )


class BatchRequest(Request):  # type: ignore[misc] # Celery has no types
    """One batch in the worker's main process."""

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        super().on_accepted(pid, time_accepted)
        stopper.accepted(self)

    def on_failure(
        self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
    ) -> Any:
        """The child died, was killed because a call in it did not stop in time, or could not run
        the batch.

        Or all went well for us, and calls in it raised or were cancelled.
        """
        # Billiard wraps what a child raised, and Celery would show the wrapper.
        error = exc_info.exception = getattr(exc_info.exception, "exc", exc_info.exception)
        if isinstance(error, FailedTaskError):
            left_out.add(error.left_out)  # All else the child has done.
        elif isinstance(error, Ignore):
            self._revoke()
            return None
        elif stopper.is_concerned(self.id):
            if not stopper.is_abandoned(self.id):
                self._answer("cancelled", "it was cancelled")
            self._revoke()
            return None
        elif isinstance(error, TimeLimitExceeded):
            self._answer(
                "timeout", "it did not react when its time was over, so its process was killed"
            )
        elif isinstance(error, WorkerLostError | SystemExit | KeyboardInterrupt):
            self._answer(
                "lost", f"the worker process died ({error})", appoint().facts(self.worker_pid)
            )
        else:
            is_memory = isinstance(error, MemoryError)
            text = f"the worker could not run it ({type(error).__name__}: {error})"
            self._answer("lost", text, appoint().facts(self.worker_pid, want_of_memory=is_memory))
            if is_memory:
                # To Celery it would be the main process that has none left.
                exc_info = self._worker_lost_info(error)
        return super().on_failure(
            exc_info, send_failed_event=send_failed_event, return_ok=return_ok
        )

    def _revoke(self) -> None:
        """Tell Celery, its events and its signals that the client has cancelled this; it is
        acknowledged, too.
        """
        self._announce_revoked("cancelled", True, None, False)

    def _answer(self, kind: ProblemKind, text: str, facts: Mapping[str, Any] | None = None) -> None:
        problem = Problem(kind, f"{text} on {self.hostname}", facts or {})
        try:
            batch = self._app.gate.batch_of(self.message._raw)
        except VersionMismatchError:
            return  # The child was to say that it cannot be read, and nobody knows more.
        try:
            answer(self._app.url, batch, problem, f"{self.hostname}/{self.worker_pid}")
        except redis.RedisError as error:
            logger.warning(
                "cannot tell the client what became of %s; another worker will: %s",
                self.name,
                error,
            )
            # So the message stays in the book, and is found there when its lease is over.
            self.acknowledged = True


def answer(url: str, batch: Batch, problem: Problem, worker: str = "") -> None:
    """Tell a batch's client from this main process why there are no outcomes.

    Args:
        url: The broker.
        batch: The batch.
        problem: What there is in their place.
        worker: The process that had it, if one had.

    Raises:
        redis.RedisError: Redis is away or full, and this worker was told to end.
    """
    send_problem(
        _line(url),
        _connection(url).keyring,
        batch,
        problem,
        worker or socket.gethostname(),
        told_to_end,
    )


def present(url: str) -> list[WorkerPresence]:
    """The workers that are present, as this main process sees them.

    Args:
        url: The broker.

    Raises:
        redis.RedisError: Redis is away.
    """
    return workers(_connection(url))


@cache
def _connection(url: str) -> Broker:
    return connect(url, answer_within=ANSWER_WITHIN)


@cache
def _line(url: str) -> Line:
    return Line(_connection(url))
