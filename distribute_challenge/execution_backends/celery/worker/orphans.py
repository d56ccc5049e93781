"""Messages whose client is gone: nobody waits for their results, so they are not begun.

A young message is begun without a question: its client was there just now. For an older one the
clients are looked up, at most every `FRESH` seconds, and once more before it is dropped.
"""

import redis

from distribute_challenge.core import clock
from distribute_challenge.core.messages import Batch
from distribute_challenge.execution_backends.celery.broker import presence
from distribute_challenge.execution_backends.celery.broker.connection import Broker
from distribute_challenge.log import logger

__all__ = ["Clients"]

YOUNG = 10.0  # Seconds, by Redis' clock.
FRESH = 2.0  # Seconds that one look counts.


class Clients:
    """What a worker process knows of the clients that are there.

    Args:
        connection: To the broker.
    """

    def __init__(self, connection: Broker) -> None:
        self._connection = connection
        self._present: set[str] = set()
        self._looked = -FRESH
        self._missed: set[str] = set()

    def has_left(self, batch: Batch) -> bool:
        """Whether nobody waits for a message any more.

        Not if nobody ever did (there is no client's name on it), if its results are kept for
        whoever asks, or if Redis does not say.
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
            # After a restart of Redis all signs of life are old, until the next ones come.
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
