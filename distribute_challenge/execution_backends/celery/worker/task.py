"""The one Celery task: runs a batch in a child process of the worker and sends the replies home."""

import os
import time
from functools import cache, partial
from typing import Any

import redis

from distribute_challenge.errors import ForgedError, VersionMismatchError
from distribute_challenge.execution import execute
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.detached import DetachedRecords
from distribute_challenge.execution_backends.celery.broker.keys import detached_function_key, function_key
from distribute_challenge.execution_backends.celery.broker.line import Line
from distribute_challenge.execution_backends.celery.worker.orphans import Clients
from distribute_challenge.execution_backends.celery.worker.replying import insist, send_reply
from distribute_challenge.execution_backends.celery.worker.stopping import interruption
from distribute_challenge.execution_backends.celery.worker.values import WorkerValues
from distribute_challenge.function_cache import FunctionCache
from distribute_challenge.messages import Batch, Problem, Reply
from distribute_challenge.security import Purpose, Refusals
from distribute_challenge.serialisation import ProjectImporter

__all__ = ["run_batch"]


def run_batch(task: Any, sealed: bytes) -> None:
    """Run one batch and send what comes of it.

    Args:
        task: The bound Celery task.
        sealed: An encoded `Batch`, sealed.
    """
    request = task.request
    child = _child(os.getpid(), task.app)
    worker = f"{request.hostname}/{os.getpid()}"
    keyring = child.connection.keyring
    # The main process has opened it before (`gate`), for what it has to know; what is opened is not handed on from there.
    frame = keyring.open(Purpose.BATCH, sealed)
    try:
        batch = Batch.decode(frame)
    except VersionMismatchError as error:
        # The message around it says whom to tell.
        problem = Reply(request.id, worker, time.time(), problem=Problem("version", str(error)))
        send_reply(child.line, keyring, request.reply_to, problem.encode())
        return
    if child.clients.has_left(batch):
        return
    if batch.keep and insist("look for a call", lambda: DetachedRecords(child.connection).over([batch.id])):
        return  # It was cancelled or has its outcome, and somebody has put its message into the queue once more.
    send_ahead = partial(send_reply, child.second_line, keyring, batch.reply_to)
    child.interruption.begin(batch.id)
    for reply in execute(batch, child.functions, worker, child.values, send_ahead, child.interruption):
        if child.interruption.is_abandoned:
            return  # A list that nobody reads would stay in Redis.
        send_reply(child.line, keyring, batch.reply_to, reply)


class _Child:
    """What a child process keeps from batch to batch."""

    def __init__(self, url: str, refusals: Refusals) -> None:
        self.connection = connect(url)
        self.connection.keyring.refusals = refusals
        self.line = Line(self.connection)
        self.second_line = Line(self.connection)  # For the thread beside the one that runs the calls.
        self.functions = FunctionCache(self._fetch, ProjectImporter())
        self.values = WorkerValues(self.connection)
        self.clients = Clients(self.connection)
        self.interruption = interruption()
        self.interruption.listen()

    def _fetch(self, digest: str) -> bytes | None:
        def fetch() -> Any:
            found = self.connection.get(function_key(digest))
            return self.connection.hget(detached_function_key(digest), "payload") if found is None else found

        keyring = self.connection.keyring
        try:
            sealed = insist("fetch a function", fetch)
            return None if sealed is None else bytes(keyring.open(Purpose.function(digest), sealed))
        # As if it were not there: the client sends it again.
        except (ForgedError, redis.ResponseError) as error:  # The latter where there is something else in its place.
            keyring.refusals.note("a function", str(error), digest)
        return None


@cache
def _child(pid: int, app: Any) -> _Child:
    """One for each process: a connection must not cross a fork."""
    return _Child(app.url, app.gate.refusals)
