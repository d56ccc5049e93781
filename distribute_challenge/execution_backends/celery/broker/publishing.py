"""Putting a batch on a queue, as Celery would, in one round trip.

This writes by hand what ``Task.apply_async`` makes: Celery's message protocol 2 inside kombu's
Redis envelope. It is the one place that knows them, because publishing through kombu takes twice as
long, and loading Celery into every client five times as long as everything else that a client does.
A test holds each field against what Celery itself sends.
"""

import json
import os
import socket
from base64 import b64encode
from typing import Any, Final, NamedTuple

import redis

from distribute_challenge.core.messages import Batch
from distribute_challenge.core.options import HIGHEST_PRIORITY
from distribute_challenge.execution_backends.policy import hard_limit
from distribute_challenge.security import Keyring, Purpose

__all__ = [
    "CONTENT_TYPE",
    "PRIORITY_SEPARATOR",
    "PRIORITY_STEPS",
    "TASK_NAME",
    "Message",
    "envelope_of",
    "message_for",
    "queue_keys",
    "queue_length",
]

TASK_NAME: Final = "distribute_challenge.run"
CONTENT_TYPE: Final = "application/x-distribute-challenge"

# kombu keeps one list for each priority step, 0 first; its separator is part of the list's name.
PRIORITY_SEPARATOR: Final = "\x06\x16"
PRIORITY_STEPS: Final = list(range(HIGHEST_PRIORITY + 1))


class Message(NamedTuple):
    """A message as it lies in Redis: the list's key, the exact bytes, and the name that it has in
    the books of what is in work.
    """

    key: str
    data: bytes
    tag: str


def message_for(batch: Batch, *, queue: str, priority: int, keyring: Keyring) -> Message:
    """The Celery message that carries a batch.

    Args:
        batch: What to run.
        queue: Celery queue.
        priority: 0 to 9, higher first.
        keyring: Signs it.
    """
    # Redis brokers read priorities the other way round: 0 is the first to go.
    step = HIGHEST_PRIORITY - priority
    body = b64encode(keyring.seal(Purpose.BATCH, [batch.encode()])).decode()
    # As unique as the batch, for no more than that: random numbers take longer than the rest of
    # this. Nothing else in the message contains it, so that it can be replaced there (`detached`).
    tag = f"{batch.id}-1"
    envelope = envelope_of(batch, body, queue=queue, step=step, tag=tag)
    return Message(queue_keys(queue)[step], json.dumps(envelope).encode(), tag)


def envelope_of(batch: Batch, body: str, *, queue: str, step: int, tag: str) -> dict[str, Any]:
    """What kombu takes for a message.

    Only the body is signed: a worker makes the rest anew from the batch in it.

    Args:
        batch: The batch in the body.
        body: The batch, sealed, in base64.
        queue: Celery queue.
        step: Which of the queue's lists, from 0, the most urgent.
        tag: Name of the message in the books of what is in work.
    """
    return {
        "body": body,
        "content-encoding": "binary",
        "content-type": CONTENT_TYPE,
        "headers": _headers_of(batch),
        "properties": {
            "correlation_id": batch.id,
            "reply_to": batch.reply_to,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": step,
            "body_encoding": "base64",
            "delivery_tag": tag,
        },
    }


def _headers_of(batch: Batch) -> dict[str, Any]:
    # A worker begins no call of a batch that has taken long already.
    limit = hard_limit(batch.timeout, batch.retries, before=batch.patience)
    return {
        "lang": "py",
        "task": TASK_NAME,
        "id": batch.id,
        "shadow": batch.name if batch.calls == 1 else f"{batch.name} ×{batch.calls}",
        "eta": None,
        "expires": None,
        "group": None,
        "group_index": None,
        "retries": 0,
        "timelimit": [limit, None],
        "root_id": batch.id,
        "parent_id": None,
        "argsrepr": "<1 call>" if batch.calls == 1 else f"<{batch.calls} calls>",
        "kwargsrepr": "{}",
        "origin": _origin(),
        "ignore_result": True,
        "replaced_task_nesting": 0,
        "stamped_headers": None,
        "stamps": {},
    }


def queue_keys(queue: str) -> list[str]:
    """The Redis lists that make up a queue, most urgent first."""
    return [f"{queue}{PRIORITY_SEPARATOR}{step}" if step else queue for step in PRIORITY_STEPS]


def queue_length(connection: redis.Redis, queue: str) -> int:
    """Messages that wait in a queue."""
    with connection.pipeline(transaction=False) as pipeline:
        for key in queue_keys(queue):
            pipeline.llen(key)
        return sum(pipeline.execute())


_origin_of: tuple[int, str] = (0, "")


def _origin() -> str:
    global _origin_of
    if _origin_of[0] != os.getpid():
        _origin_of = os.getpid(), f"{os.getpid()}@{socket.gethostname()}"
    return _origin_of[1]
