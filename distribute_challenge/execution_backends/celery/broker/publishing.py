"""Put a batch on a queue, as Celery would, in one round trip.

This writes by hand what ``Task.apply_async`` makes: Celery's message protocol 2 inside kombu's
Redis envelope. Publishing through kombu takes twice as long, and loading Celery into every client
takes five times as long as everything else that a client does. This is the only module that knows
both formats. A test compares each field with what Celery itself sends.
"""

import json
import os
import socket
from base64 import b64encode
from collections import Counter
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

# kombu keeps one list for each priority step, 0 first, with this separator in the list's name.
PRIORITY_SEPARATOR: Final = "\x06\x16"
PRIORITY_STEPS: Final = list(range(HIGHEST_PRIORITY + 1))

MOST_NAMES: Final = 3  # Functions in the name of one message, as Flower shows it.


class Message(NamedTuple):
    """A message as it lies in Redis: the list's key, the exact bytes, and its delivery tag.

    Its entry among the unacknowledged messages has this tag.
    """

    key: str
    data: bytes
    tag: str


def message_for(batch: Batch, *, queue: str, priority: int, keyring: Keyring) -> Message:
    """Return the Celery message that carries a batch.

    Args:
        batch: The batch to run.
        queue: Celery queue.
        priority: 0 to 9, higher first.
        keyring: Signs the batch.
    """
    # With Redis brokers, priority 0 comes first.
    step = HIGHEST_PRIORITY - priority
    body = b64encode(keyring.seal(Purpose.BATCH, [batch.encode()])).decode()
    # Made from the batch's id, which is unique, because random numbers take longer than the rest of
    # this function. No other part of the message contains it, so `detached` can replace it there.
    tag = f"{batch.id}-1"
    envelope = envelope_of(batch, body, queue=queue, step=step, tag=tag)
    return Message(queue_keys(queue)[step], json.dumps(envelope).encode(), tag)


def envelope_of(batch: Batch, body: str, *, queue: str, step: int, tag: str) -> dict[str, Any]:
    """Return the envelope that kombu reads as a message.

    Only the body is signed: a worker makes the rest again from the batch in it.

    Args:
        batch: The batch in the body.
        body: The batch, sealed, in base64.
        queue: Celery queue.
        step: Which of the queue's lists, from 0, the most urgent.
        tag: Delivery tag of the message.
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
    # A worker begins no more calls of a batch after `batch.patience` seconds.
    limit = hard_limit(batch.timeout, batch.retries, before=batch.patience)
    return {
        "lang": "py",
        "task": TASK_NAME,
        "id": batch.id,
        "shadow": _label(batch),
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


def _label(batch: Batch) -> str:
    """Return the names of the functions in a batch, with the numbers of their calls."""
    if batch.chunk:
        return f"{batch.name} ×{batch.chunk}"
    calls: Counter[str] = Counter()
    for part, numbers in batch.parts():
        calls[part.name] += len(numbers)
    names = [name if count == 1 else f"{name} ×{count}" for name, count in calls.items()]
    return ", ".join(names[:MOST_NAMES]) + (", ..." if len(names) > MOST_NAMES else "")


def queue_keys(queue: str) -> list[str]:
    """Return the Redis lists that make up a queue, most urgent first."""
    return [f"{queue}{PRIORITY_SEPARATOR}{step}" if step else queue for step in PRIORITY_STEPS]


def queue_length(connection: redis.Redis, queue: str) -> int:
    """Return how many messages wait in a queue."""
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
