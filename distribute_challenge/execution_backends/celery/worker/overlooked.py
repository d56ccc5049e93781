"""Finds lost messages of detached calls that no client waits for at the moment.

Redis may give a message to a worker that is gone: its machine has lost its power, say, and Redis
does not know yet. A client finds lost messages of its own calls (`client.lost_messages`), and of a
detached call that it waits for. As long as no client waits for a detached call, the workers look.
"""

import time

from distribute_challenge.execution_backends.celery.broker.connection import Broker
from distribute_challenge.execution_backends.celery.broker.detached import DetachedRecords
from distribute_challenge.log import logger

__all__ = ["Overlooked"]

AT_ONCE = 100  # Calls of one look,
LOOK_FOR = 0.02  # and seconds that it may take: Redis searches the queue for each call.
EVERY = 2  # Looks only each second time that `look` is called.


class Overlooked:
    """Finds these messages for one worker; the worker's `Sweeper` calls `look`.

    The workers take turns, so that a thousand workers ask Redis no more often than one.

    Args:
        connection: To the broker.
    """

    def __init__(self, connection: Broker) -> None:
        self._records = DetachedRecords(connection)
        self._asked = 0

    def look(self) -> None:
        """Look for lost messages, each second time that this is called.

        Raises:
            redis.RedisError: Redis is away, or full.
        """
        self._asked += 1
        if self._asked % EVERY:
            return
        until = time.monotonic() + LOOK_FOR
        for call in self._records.overlooked(AT_ONCE):
            if self._records.look(call, ends=False).state == "again":
                logger.warning(
                    "the message of the detached call %s was lost, and is sent again", call
                )
            if time.monotonic() > until:
                return
