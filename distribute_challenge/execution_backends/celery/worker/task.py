"""The one Celery task: runs a batch in a child process of the worker, and sends the replies."""

import os
from collections.abc import Callable
from functools import cache, cached_property, partial
from typing import Any

import redis
from celery.exceptions import Ignore

from distribute_challenge.core import clock
from distribute_challenge.core.failures import Failures
from distribute_challenge.core.messages import Batch, Problem, Reply
from distribute_challenge.errors import ForgedError, VersionMismatchError
from distribute_challenge.execution.function_cache import FunctionCache
from distribute_challenge.execution.process_state import ProcessState
from distribute_challenge.execution.run import execute
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.detached import DetachedRecords
from distribute_challenge.execution_backends.celery.broker.keys import (
    detached_function_key,
    function_key,
)
from distribute_challenge.execution_backends.celery.broker.pipelined import PipelinedConnection
from distribute_challenge.execution_backends.celery.broker.worker_cluster import join_cluster
from distribute_challenge.execution_backends.celery.worker.cancellation import interruption
from distribute_challenge.execution_backends.celery.worker.failed_task import (
    failed_task,
    failed_task_of,
)
from distribute_challenge.execution_backends.celery.worker.failure_log import FailureLog
from distribute_challenge.execution_backends.celery.worker.log_shipping import LogShipping
from distribute_challenge.execution_backends.celery.worker.orphans import Clients
from distribute_challenge.execution_backends.celery.worker.process_log import output_log
from distribute_challenge.execution_backends.celery.worker.replying import (
    retry_until_answered,
    send_reply,
)
from distribute_challenge.execution_backends.celery.worker.values import WorkerValues
from distribute_challenge.security import Purpose, Refusals
from distribute_challenge.serialisation.modules.project_importer import ProjectImporter

__all__ = ["run_batch"]


def run_batch(task: Any, sealed: bytes) -> None:
    """Run one batch and send its replies.

    Args:
        task: The bound Celery task.
        sealed: An encoded `Batch`, sealed.

    Raises:
        FailedTaskError: Calls of the batch raised. Their client has the exceptions; this one is for
            Celery.
        Ignore: The client does not want the batch any more. `BatchRequest` tells Celery that the
            task was revoked.
    """
    request = task.request
    child = _child(os.getpid(), task.app)
    worker = f"{request.hostname}/{os.getpid()}"
    keyring = child.connection.keyring
    # The main process has opened it before, in its gate, but passes the sealed bytes to the child.
    frame = keyring.open(Purpose.BATCH, sealed)
    try:
        batch = Batch.decode(frame)
    except VersionMismatchError as error:
        # The envelope of the message has the id and the reply list.
        problem = Reply(request.id, worker, clock.now(), problem=Problem("version", str(error)))
        send_reply(child.reply_connection, keyring, request.reply_to, problem.encode())
        raise failed_task(error) from None
    if child.clients.has_left(batch):
        raise Ignore
    if batch.keep and retry_until_answered(
        "look for a call", lambda: DetachedRecords(child.connection).has_ended(batch.id)
    ):
        keyring.refusals.note(
            "a message", "its detached call has ended, or was cancelled", batch.id
        )
        return
    send_ahead: Callable[[bytes], None] = partial(
        send_reply, child.second_connection, keyring, batch.reply_to
    )
    child.interruption.begin(batch.id)
    logs = None
    if batch.logs is not None:
        logs = child.logs
        logs.begin(batch, request.hostname)
        send_ahead = logs.send_ahead
    failures = Failures(child.failure_log.room())
    try:
        replies = execute(
            batch,
            child.functions,
            worker,
            child.values,
            send_ahead,
            child.interruption,
            child.process,
            failures,
            logs,
        )
        for reply in replies:
            if child.interruption.is_abandoned:
                raise Ignore  # A reply would make a list that no client reads.
            send_reply(
                child.reply_connection,
                keyring,
                batch.reply_to,
                reply,
                before=logs.frames() if logs is not None else (),
            )
    finally:
        if logs is not None:
            logs.end()
    if failures.raised:
        # The client has the exceptions. This one is for Celery's signals and events.
        raise failed_task_of(batch, failures, left_out=child.failure_log.write(batch, failures))
    kind, text = failures.problem[:2] if failures.problem is not None else ("", "")
    if kind == "version":
        raise failed_task(VersionMismatchError(text))
    if kind == "cancelled" or failures.cancelled == batch.calls:
        raise Ignore


class _Child:
    """What a child process keeps from one batch to the next; `run_batch` uses it.

    Args:
        url: The broker.
        refusals: Counts functions and values that the child refuses.
    """

    def __init__(self, url: str, refusals: Refusals) -> None:
        join_cluster(url)
        self.connection = connect(url)
        self.connection.keyring.refusals = refusals
        self.reply_connection = PipelinedConnection(self.connection)
        # For the thread that sends replies while another thread runs a call.
        self.second_connection = PipelinedConnection(self.connection)
        self.functions = FunctionCache(self._fetch, ProjectImporter())
        self.values = WorkerValues(self.connection)
        self.clients = Clients(self.connection)
        self.failure_log = FailureLog()
        self.interruption = interruption()
        self.interruption.listen()
        # Last: the handler that `interruption` has just set is part of the state to restore.
        self.process = ProcessState()

    @cached_property
    def logs(self) -> LogShipping:
        """The log shipping, made for the first client that wants it."""
        # It has `Clients` of its own, as it asks from another thread than the one that runs calls.
        clients = Clients(self.connection)
        return LogShipping(
            output_log(),
            self.second_connection,
            self.connection.keyring,
            clients,
            self._is_abandoned,
        )

    def _is_abandoned(self) -> bool:
        return self.interruption.is_abandoned

    def _fetch(self, digest: str) -> bytes | None:
        def fetch() -> Any:
            found = self.connection.get(function_key(digest))
            return (
                self.connection.hget(detached_function_key(digest), "payload")
                if found is None
                else found
            )

        keyring = self.connection.keyring
        try:
            sealed = retry_until_answered("fetch a function", fetch)
            return None if sealed is None else bytes(keyring.open(Purpose.function(digest), sealed))
        # Treated as missing, so that the client sends the function again. A ResponseError: the key
        # holds a value of another type.
        except (ForgedError, redis.ResponseError) as error:
            keyring.refusals.note("a function", str(error), digest)
        return None


@cache
def _child(pid: int, app: Any) -> _Child:
    """Make a `_Child` for each process, as connections must not cross a fork."""
    return _Child(app.url, app.gate.refusals)
