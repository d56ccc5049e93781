"""Finds out whether the client of a message is gone, so that its calls need not be begun.

A young message is begun without a check, as its client was there just now. For an older message,
the child process asks Redis for the clients that are present: at most every `FRESH` seconds, and
once more before it drops the message.
"""

import redis

from distribute_challenge.core import clock
from distribute_challenge.core.messages import Batch
from distribute_challenge.execution_backends.celery.broker import presence
from distribute_challenge.execution_backends.celery.broker.connection import Broker
from distribute_challenge.log import logger

__all__ = ["Clients"]

YOUNG = 10.0  # Seconds since a message was made, by Redis' clock.
FRESH = 2.0  # Seconds for which one list of clients is used.


class Clients:
    """The clients that are present, as one child process last saw them.

    Args:
        connection: To the broker.
    """

    def __init__(self, connection: Broker) -> None:
        self._connection = connection
        self._present: set[str] = set()
        self._looked = -FRESH
        self._missed: set[str] = set()

    def has_left(self, batch: Batch) -> bool:
        """Tell whether the client of a message is gone.

        False for a message without the name of a client, for a detached call, whose outcome is
        kept, and if Redis does not answer.
        """
        if not batch.client or batch.keep:
            return False
        try:
            if self._connection.clock.ask_if_old(self._connection) - batch.issued < YOUNG:
                return False
            if clock.monotonic() - self._looked >= FRESH:
                self._look()
            if batch.client in self._present:
                return False
            self._look()
            # After a restart of Redis, all presences are old, until the clients renew them.
            if (
                batch.client in self._present
                or self._connection.info("server")["uptime_in_seconds"] < presence.STALE
            ):
                return False
        except redis.RedisError:
            return False
        if batch.client not in self._missed:
            self._missed.add(batch.client)
            logger.warning(
                "the client %s is gone: its calls are dropped, such as %s", batch.client, batch.name
            )
        return True

    def _look(self) -> None:
        self._present = {client.name for client in presence.clients(self._connection)}
        self._looked = clock.monotonic()
