"""Calls that travel together in one message, and messages that a worker holds."""

from array import array
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from distribute_challenge import compute_this
from distribute_challenge.core.batching import window
from distribute_challenge.core.messages import Reply
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker.keys import UNACKED
from distribute_challenge.execution_backends.celery.client import worker_counts
from tests.execution_backends.celery.conftest import FakeWorker, Taken


@compute_this
def square(x: int) -> int:
    return x * x


def together(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    eventually: Callable[[Callable[[], bool]], None],
    function: Any,
    arguments: Iterable[Any],
) -> list[Any]:
    """Submit calls of which at least four travel in one message, already sent."""
    # As many messages as may be out at once: whatever comes now has to wait, and so gathers.
    first = [function(0).submit(backend) for _ in range(window(worker_counts.UNKNOWN_SLOTS))]
    eventually(lambda: worker.waiting() == len(first))
    crowd = [function(argument).submit(backend) for argument in arguments]
    taken = worker.take()
    (frame,) = taken.replies()
    reply = Reply.decode(frame)
    # However busy this machine is, the client shall believe that these calls are short.
    taken.push(replace(reply, finishes=array("d", [reply.started + 0.0001])).encode())
    eventually(lambda: crowd[3].batch is not None)
    assert crowd[0].batch is crowd[3].batch
    return crowd


def hold(taken: Taken) -> None:
    """Write down that a worker has a message, as workers do."""
    taken.worker.connection.hset(UNACKED, taken.envelope["properties"]["delivery_tag"], "")
