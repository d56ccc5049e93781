"""Detached calls for which nobody waits at the moment: the workers see to it that none of their
messages is lost.

A message may go to a worker that is not there any more: its machine has lost its power, say, and
Redis does not know yet. A client finds out (`client.lost_messages`), and so does whoever waits for
a detached call; until somebody does, it is for the workers.
"""

import time

from distribute_challenge.execution_backends.celery.broker.connection import Broker
from distribute_challenge.execution_backends.celery.broker.detached import DetachedRecords
from distribute_challenge.log import logger

__all__ = ["Overlooked"]

AT_ONCE = 100  # Calls of one look,
LOOK_FOR = 0.02  # and seconds that it may take: in a long queue Redis searches for each.
EVERY = 2  # Looks of a worker for other things between two of these.


class Overlooked:
    """What one worker does about them.

    The workers take turns, so that a thousand ask for no more than one.

    Args:
        connection: To the broker.
    """

    def __init__(self, connection: Broker) -> None:
        self._records = DetachedRecords(connection)
        self._asked = 0

    def look(self) -> None:
        """Look, if it is time to.

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
