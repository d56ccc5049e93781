"""The worker's way back: replies onto the client's list."""

import time

import redis

from distribute_challenge.execution_backends.celery.keys import REPLY_EXPIRY
from distribute_challenge.log import logger

__all__ = ["send_reply"]

PAUSE = 0.5  # Seconds between attempts while the broker is away.


def send_reply(connection: redis.Redis, reply_to: str, frame: bytes) -> None:
    """Put a reply onto a client's list, however long the broker is away: a result is not thrown away.

    Args:
        connection: The broker.
        reply_to: The client's list.
        frame: The encoded reply.
    """
    while True:
        try:
            with connection.pipeline(transaction=False) as pipeline:
                pipeline.rpush(reply_to, frame)
                pipeline.expire(reply_to, REPLY_EXPIRY)
                pipeline.execute()
            return
        except (redis.ConnectionError, redis.TimeoutError) as error:
            logger.warning("cannot reply, trying again: %s", error)
            time.sleep(PAUSE)
