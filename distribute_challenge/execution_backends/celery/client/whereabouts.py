"""Where a message is: held by a worker, still in its queue, or nowhere.

A worker writes each message that it takes into the hash `keys.UNACKED`, under the message's
delivery tag, and removes it once the reply has been sent. A worker that puts a message back into
its queue puts back the same bytes.
"""

from collections.abc import Collection, Sequence

import redis

from distribute_challenge.execution_backends.celery.broker.keys import UNACKED
from distribute_challenge.execution_backends.celery.broker.publishing import Message

__all__ = ["are_held", "are_nowhere", "queue_lengths"]


def are_held(connection: redis.Redis, messages: Sequence[Message]) -> list[bool]:
    """Tell for each message whether a worker holds it. Cheap: only their tags are sent.

    Args:
        connection: The connection to the broker.
        messages: The messages.

    Raises:
        redis.RedisError: The broker does not answer.
    """
    with connection.pipeline(transaction=False) as pipeline:
        for message in messages:
            pipeline.hexists(UNACKED, message.tag)
        return [bool(held) for held in pipeline.execute()]


def queue_lengths(connection: redis.Redis, keys: Collection[str]) -> dict[str, int]:
    """Return the number of messages in each queue.

    Args:
        connection: The connection to the broker.
        keys: Keys of queues.

    Raises:
        redis.RedisError: The broker does not answer.
    """
    with connection.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.llen(key)
        return dict(zip(keys, pipeline.execute(), strict=True))


def are_nowhere(
    connection: redis.Redis, messages: Sequence[Message], lists: Sequence[str] = ()
) -> tuple[list[bool], list[int]]:
    """Tell which messages are neither held nor in their queues, and how many replies wait.

    All of it is read in one transaction. The whole messages are sent to Redis.

    Args:
        connection: To the broker.
        messages: The messages to look for.
        lists: Keys of lists with replies.

    Returns:
        For each message, whether it is nowhere; for each list, the number of replies in it.

    Raises:
        redis.OutOfMemoryError: Redis has no memory left. A worker may then have taken a message
            that Redis did not note down.
        redis.RedisError: The broker does not answer.
    """
    with connection.pipeline(transaction=True) as pipeline:
        # It changes nothing, but Redis refuses it when its memory is full.
        pipeline.zadd(f"{UNACKED}_index", {"": 0.0}, xx=True)
        for message in messages:
            pipeline.hexists(UNACKED, message.tag)
            # From the end that workers take from, where the oldest messages are.
            pipeline.lpos(message.key, message.data, rank=-1)  # type: ignore[arg-type] # bytes
        for key in lists:
            pipeline.llen(key)
        _, *answers = pipeline.execute()
    end = 2 * len(messages)
    places = zip(answers[0:end:2], answers[1:end:2], strict=True)
    return [not held and place is None for held, place in places], answers[end:]
