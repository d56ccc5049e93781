"""Answers the client from the worker's main process when a child process cannot answer any more."""

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
from distribute_challenge.execution_backends.celery.broker.pipelined import PipelinedConnection
from distribute_challenge.execution_backends.celery.broker.presence import WorkerPresence, workers
from distribute_challenge.execution_backends.celery.broker.reports import State
from distribute_challenge.execution_backends.celery.worker.activity import activity
from distribute_challenge.execution_backends.celery.worker.cancellation import cancelled_calls
from distribute_challenge.execution_backends.celery.worker.crash_reports import crash_reporter
from distribute_challenge.execution_backends.celery.worker.failed_task import FailedTaskError
from distribute_challenge.execution_backends.celery.worker.failure_log import left_out
from distribute_challenge.execution_backends.celery.worker.replying import (
    ANSWER_WITHIN,
    send_problem,
)
from distribute_challenge.log import logger

__all__ = ["BatchRequest", "answer", "present", "told_to_end"]


def told_to_end() -> bool:
    """Tell whether this worker was told to end: Celery then holds an exit code."""
    return any(
        code is not None and code is not False
        for code in (state.should_stop, state.should_terminate)
    )


class BatchRequest(Request):  # type: ignore[misc] # Celery has no types
    """A batch in the worker's main process, as Celery's request for the task.

    Attributes:
        began: When a child began it, in seconds of the monotonic clock, which a machine's processes
            share.
        end: How it ended, or will.
    """

    began: float | None = None
    end: State = "done"

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        self.began = time_accepted
        super().on_accepted(pid, time_accepted)
        cancelled_calls.accepted(self)

    def acknowledge(self) -> None:
        # Celery makes a subclass with an `on_success` of its own, so this is the end that it shows.
        if activity.is_watched and not self.acknowledged:
            activity.ended(self)
        super().acknowledge()

    def on_failure(
        self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
    ) -> Any:
        """Tell the client why there is no outcome, if the child has not told it.

        Celery calls this if the child died, was killed because a call in it did not stop in time,
        or could not run the batch. Celery also calls it if the child ran the batch, and calls in it
        raised or were cancelled.
        """
        # Billiard wraps the exception of a child, and Celery would show the wrapper.
        error = exc_info.exception = getattr(exc_info.exception, "exc", exc_info.exception)
        if isinstance(error, FailedTaskError):
            left_out.add(error.left_out)  # The child has told the client already.
            self.end = "failed"
            if activity.is_watched:
                activity.failed(self, f"{type(error).__name__}: {error}", exc_info.traceback)
        elif isinstance(error, Ignore):
            self._revoke()
            return None
        elif cancelled_calls.is_concerned(self.id):
            if not cancelled_calls.is_abandoned(self.id):
                self._answer("cancelled", "it was cancelled")
            self._revoke()
            return None
        elif isinstance(error, TimeLimitExceeded):
            self._answer(
                "timeout", "it did not react when its time was over, so its process was killed"
            )
        elif isinstance(error, WorkerLostError | SystemExit | KeyboardInterrupt):
            self._answer(
                "lost",
                f"the worker process died ({error})",
                crash_reporter().facts(self.worker_pid),
            )
        else:
            is_memory = isinstance(error, MemoryError)
            text = f"the worker could not run it ({type(error).__name__}: {error})"
            self._answer(
                "lost", text, crash_reporter().facts(self.worker_pid, want_of_memory=is_memory)
            )
            if is_memory:
                # Celery would take a MemoryError for one of the main process.
                exc_info = self._worker_lost_info(error)
        return super().on_failure(
            exc_info, send_failed_event=send_failed_event, return_ok=return_ok
        )

    def _revoke(self) -> None:
        """Acknowledge the message, and report it as revoked in Celery's events and signals."""
        self.end = "cancelled"
        self._announce_revoked("cancelled", True, None, False)

    def _answer(self, kind: ProblemKind, text: str, facts: Mapping[str, Any] | None = None) -> None:
        problem = Problem(kind, f"{text} on {self.hostname}", facts or {})
        if kind != "cancelled":
            self.end = "lost"
            if activity.is_watched:
                activity.failed(self, text, _facts_text(problem.facts))
        try:
            batch = self._app.gate.batch_of(self.message._raw)
        except VersionMismatchError:
            return  # Only the child could have told the client that the batch cannot be read.
        try:
            answer(self._app.url, batch, problem, f"{self.hostname}/{self.worker_pid}")
        except redis.RedisError as error:
            logger.warning(
                "cannot tell the client what became of %s; another worker will: %s",
                self.name,
                error,
            )
            # Celery then does not acknowledge the message: when its lease is over, another worker
            # finds it.
            self.acknowledged = True


def _facts_text(facts: Mapping[str, Any]) -> str:
    """Return what is known of the end of a process, a fact a line."""
    return "\n".join(f"{name.replace('_', ' ')}: {value}" for name, value in facts.items())


def answer(url: str, batch: Batch, problem: Problem, worker: str = "") -> None:
    """Tell a batch's client from this main process why there are no outcomes.

    Args:
        url: The broker.
        batch: The batch.
        problem: Why there are no outcomes.
        worker: Name of the child process that had the batch; empty: none had it.

    Raises:
        redis.RedisError: Redis is away or full, and this worker was told to end.
    """
    send_problem(
        _pipelined(url),
        _connection(url).keyring,
        batch,
        problem,
        worker or socket.gethostname(),
        told_to_end,
    )


def present(url: str) -> list[WorkerPresence]:
    """Return the workers that are present, over the connection of this main process.

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
def _pipelined(url: str) -> PipelinedConnection:
    return PipelinedConnection(_connection(url))
