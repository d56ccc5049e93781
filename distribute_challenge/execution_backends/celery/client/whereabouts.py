"""Where a message is: held by a worker, still in its queue, or nowhere.

A worker writes each message that it takes into a book (`keys.UNACKED`) under the tag that the
message came with, and strikes it out once its reply has been sent. Where workers put a message
back, they put back the same bytes.
"""

from collections.abc import Sequence

import redis

from distribute_challenge.execution_backends.celery.broker.keys import UNACKED
from distribute_challenge.execution_backends.celery.broker.publishing import Message

__all__ = ["are_held", "are_nowhere"]


def are_held(connection: redis.Redis, messages: Sequence[Message]) -> list[bool]:
    """Which of the messages a worker has. Cheap: only their tags travel.

    Raises:
        redis.RedisError: The broker does not answer.
    """
    with connection.pipeline(transaction=False) as pipeline:
        for message in messages:
            pipeline.hexists(UNACKED, message.tag)
        return [bool(held) for held in pipeline.execute()]


def are_nowhere(
    connection: redis.Redis, messages: Sequence[Message], lists: Sequence[str] = ()
) -> tuple[list[bool], list[int]]:
    """Which of the messages are neither held nor in their queues, and how many replies wait in
    lists, all at one moment.

    The messages travel as a whole.

    Raises:
        redis.OutOfMemoryError: Redis has no memory left, and then takes no transactions.
        redis.RedisError: The broker does not answer.
    """
    with connection.pipeline(transaction=True) as pipeline:
        for message in messages:
            pipeline.hexists(UNACKED, message.tag)
            pipeline.lpos(message.key, message.data)  # type: ignore[arg-type] # bytes will do
        for key in lists:
            pipeline.llen(key)
        answers = pipeline.execute()
    end = 2 * len(messages)
    places = zip(answers[0:end:2], answers[1:end:2], strict=True)
    return [not held and place is None for held, place in places], answers[end:]
