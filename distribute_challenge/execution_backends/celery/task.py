"""The one Celery task: runs a batch in a child process of the worker and sends the replies home."""

import os
import time
from functools import cache, partial
from typing import Any, cast

from distribute_challenge.errors import VersionMismatchError
from distribute_challenge.execution import FunctionCache, execute
from distribute_challenge.execution_backends.celery.connection import connect
from distribute_challenge.execution_backends.celery.keys import function_key
from distribute_challenge.execution_backends.celery.line import Line
from distribute_challenge.execution_backends.celery.orphans import Clients
from distribute_challenge.execution_backends.celery.replying import insist, send_reply
from distribute_challenge.execution_backends.celery.stopping import interruption
from distribute_challenge.execution_backends.celery.worker_values import WorkerValues
from distribute_challenge.messages import Batch, Problem, Reply
from distribute_challenge.serialisation import ProjectImporter

__all__ = ["run_batch"]


def run_batch(task: Any, frame: bytes) -> None:
    """Run one frame and send what comes of it.

    Args:
        task: The bound Celery task.
        frame: An encoded `Batch`.
    """
    request = task.request
    child = _child(os.getpid(), task.app.conf.broker_url)
    worker = f"{request.hostname}/{os.getpid()}"
    try:
        send_ahead = partial(send_reply, child.second_line, request.reply_to)
        batch = Batch.decode(frame)
        if child.clients.has_left(batch):
            return
        child.interruption.begin(request.id)
        for reply in execute(batch, child.functions, worker, child.values, send_ahead, child.interruption):
            if child.interruption.is_abandoned:
                return  # A list that nobody reads would stay in Redis.
            send_reply(child.line, request.reply_to, reply)
    except VersionMismatchError as error:
        # Not even the frame can be read; the message around it says whom to tell.
        problem = Reply(request.id, worker, time.time(), problem=Problem("version", str(error)))
        send_reply(child.line, request.reply_to, problem.encode())


class _Child:
    """What a child process keeps from batch to batch."""

    def __init__(self, url: str) -> None:
        self.connection = connect(url)
        self.line = Line(self.connection)
        self.second_line = Line(self.connection)  # For the thread beside the one that runs the calls.
        self.functions = FunctionCache(self._fetch, ProjectImporter())
        self.values = WorkerValues(self.connection)
        self.clients = Clients(self.connection)
        self.interruption = interruption()
        self.interruption.listen()

    def _fetch(self, digest: str) -> bytes | None:
        payload = insist("fetch a function", lambda: self.connection.get(function_key(digest)))
        return cast("bytes | None", payload)  # Typed as text too, which this connection does not decode to.


@cache
def _child(pid: int, url: str) -> _Child:
    """One for each process: a connection must not cross a fork."""
    return _Child(url)
