"""Detached calls, and what a worker does with their messages, one step at a time."""

import time
from typing import Any, cast

from distribute_challenge import Future, compute_this
from distribute_challenge.core.messages import Batch, Problem, Reply
from distribute_challenge.execution.function_cache import FunctionCache
from distribute_challenge.execution.run import execute
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker.keys import (
    UNACKED,
    detached_function_key,
)
from distribute_challenge.execution_backends.celery.broker.pipelined import PipelinedConnection
from distribute_challenge.execution_backends.celery.broker.publishing import queue_keys
from distribute_challenge.execution_backends.celery.worker.replying import send_reply
from distribute_challenge.security import Purpose
from distribute_challenge.settings import DEFAULT_QUEUE
from tests.execution_backends.celery.conftest import FakeWorker, Taken
from tests.secret import KEYRING

QUEUE = queue_keys(DEFAULT_QUEUE)[9]


@compute_this
def square(x: int) -> int:
    return x * x


def submit(
    backend: CeleryExecutionBackend, number: int = 3, function: Any = square, **options: Any
) -> Future[Any]:
    future: Future[Any] = function(number).submit(backend, detach=True, **options)
    return future


def replies(taken: Taken) -> list[bytes]:
    """What the call gives."""
    connection = taken.worker.connection

    def payload(digest: str) -> bytes:
        sealed = cast(bytes, connection.hget(detached_function_key(digest), "payload"))
        return bytes(KEYRING.open(Purpose.function(digest), sealed))

    return list(execute(taken.frame, FunctionCache(payload), "fake@test/1", taken.worker.values))


def send(taken: Taken, reply: bytes) -> None:
    """Reply to it as a worker does."""
    line = PipelinedConnection(taken.worker.connection)
    send_reply(line, KEYRING, taken.batch.reply_to, reply)
    line.close()


def answer(taken: Taken) -> None:
    """Run it, and say what came of it."""
    for reply in replies(taken):
        send(taken, reply)


def problem(batch: Batch, kind: str) -> bytes:
    return Reply(batch.id, "fake@test/1", time.time(), problem=Problem(kind, "a reason")).encode()


def report(taken: Taken, kind: str) -> None:
    send(taken, problem(taken.batch, kind))


def tag(taken: Taken) -> str:
    text: str = taken.envelope["properties"]["delivery_tag"]
    return text


def hold(taken: Taken) -> None:
    """Write it into the hash of what workers hold."""
    taken.worker.connection.hset(UNACKED, tag(taken), "it")


def left(worker: FakeWorker) -> list[str]:
    """What there is of detached calls."""
    names = (
        worker.connection.keys(f"distribute_challenge:{kind}:*") for kind in ("detached", "value")
    )
    return sorted(key.decode() for found in names for key in found)  # type: ignore[union-attr]
