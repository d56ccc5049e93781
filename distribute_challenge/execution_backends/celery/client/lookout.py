"""What a client looks after about once a second, whatever comes in: that it is seen, who works, and what has vanished."""

from functools import partial

import redis

from distribute_challenge.core.condition import Condition
from distribute_challenge.execution_backends.celery.broker import presence
from distribute_challenge.execution_backends.celery.broker.connection import Broker, translate
from distribute_challenge.execution_backends.celery.broker.keys import REPLY_EXPIRY
from distribute_challenge.execution_backends.celery.client.books import Books
from distribute_challenge.execution_backends.celery.client.census import Census
from distribute_challenge.execution_backends.celery.client.direct import DirectLines
from distribute_challenge.execution_backends.celery.client.ledger import AFTER_FULL, Ledger
from distribute_challenge.execution_backends.celery.client.publisher import FULL_FOR
from distribute_challenge.execution_backends.celery.client.recovery import Recovery
from distribute_challenge.execution_backends.celery.client.values import ClientValues
from distribute_challenge.log import logger
from distribute_challenge.settings import masked

__all__ = ["Lookout"]


class Lookout:
    """Looks after one client, for its receiver thread.

    Args:
        client: The client's id.
        connection: The receiver thread's own.
        replies: The list that most replies come to.
        books: What is on its way.
        work: Protects the books, and wakes who sends.
        census: Counts workers.
        values: Is told which workers see them.
        ledger: Finds messages that have vanished.
        recovery: Sends them again.
        direct: Reads some replies itself.
    """

    def __init__(
        self,
        client: str,
        connection: Broker,
        replies: str,
        *,
        books: Books,
        work: Condition,
        census: Census,
        values: ClientValues,
        ledger: Ledger,
        recovery: Recovery,
        direct: DirectLines,
    ) -> None:
        self._client = client
        self._connection = connection
        self._replies = replies
        self._books = books
        self._work = work
        self._census = census
        self._values = values
        self._ledger = ledger
        self._recovery = recovery
        self._direct = direct
        self._full_since: float | None = None

    def look(self, now: float) -> None:
        """Look once.

        Args:
            now: Seconds of the monotonic clock.

        Raises:
            redis.RedisError: The broker does not answer.
            SecretError: Calls wait, and all workers have another secret.
        """
        with self._work:
            waiting = self._books.waiting()
            sent = list(self._books.sent.values())
        connection = self._connection
        try:
            presence.show(connection, presence.ClientPresence(self._client, waiting.total()))
            self._full_since = None
        except redis.OutOfMemoryError as error:
            self.distrust(now + AFTER_FULL)  # Even if nothing is doubtful now.
            self._look_at_unsent(error, now)
        if sent:
            connection.expire(self._replies, REPLY_EXPIRY)
        workers = presence.workers(connection)
        self._census.take(workers, waiting, now, partial(presence.strangers, connection))
        self._values.see(workers)
        for batch in self._ledger.look(connection, sent, self._direct.keys, now):
            self._recovery.replace(batch)
        with self._work:
            self._work.notify()  # More workers, more messages.

    def _look_at_unsent(self, error: redis.OutOfMemoryError, now: float) -> None:
        """Redis is full: calls that wait for the messages before them to be done fail in the end, as those messages may never be."""
        if self._full_since is None:
            self._full_since = now
            with self._work:
                waiting = sum(self._books.outbox.waiting.values())
            if waiting:
                logger.warning("%s has no memory left; calls that wait here: %d", masked(self._connection.url), waiting)
        if now - self._full_since < FULL_FOR:
            return
        with self._work:
            unsent = self._books.outbox.clear()
        if unsent:
            failure = translate(self._connection.url, error)
            for call in unsent:
                call.fail(failure)

    def distrust(self, until: float) -> None:
        """Take what Redis says of messages and of workers as out of date until then.

        Args:
            until: Seconds of the monotonic clock.
        """
        self._ledger.distrust(until)
        self._census.distrust(until)
