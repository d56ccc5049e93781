"""Calls that no worker has begun within their `queue_timeout`: they are taken back, and fail.

A call's time counts from when it was made, or from when it was lost the last time. One that a worker holds is left alone.

Guarantees: `watch` may be called by any thread; `look` by the receiver alone.
"""

import threading
import time
from math import inf

import redis

from distribute_challenge.errors import QueueTimeoutError
from distribute_challenge.execution_backends.celery.client.books import Books
from distribute_challenge.execution_backends.celery.client.calls import Call, SentBatch
from distribute_challenge.execution_backends.celery.client.census import Census
from distribute_challenge.execution_backends.celery.client.loss_report import described
from distribute_challenge.execution_backends.celery.client.publisher import Publisher
from distribute_challenge.execution_backends.celery.client.whereabouts import are_held

__all__ = ["QueueTimes"]

LOOK_EVERY = 1.0  # Seconds between two looks at calls that are due and could not be taken back.
SHORTEST_WAIT = 0.01  # Seconds: to Redis, a wait of 0 has no end.


class QueueTimes:
    """Of one client.

    Args:
        books: Its books.
        work: The lock of the books.
        publisher: Takes messages back.
        census: Knows who serves a queue.
    """

    def __init__(self, books: Books, work: threading.Condition, publisher: Publisher, census: Census) -> None:
        self._books = books
        self._work = work
        self._publisher = publisher
        self._census = census
        self._due = inf

    def watch(self, call: Call) -> None:
        """A call with a limit is to be sent. The lock of the books must be held."""
        self._due = min(self._due, call.begin_by)

    def wait(self, longest: float) -> float:
        """Seconds until the next look, and no more than `longest`."""
        return min(longest, max(SHORTEST_WAIT, self._due - time.time()))

    def look(self, connection: redis.Redis) -> None:
        """Fail what has waited for too long.

        Args:
            connection: To the broker.

        Raises:
            redis.RedisError: The broker does not answer.
        """
        now = time.time()
        if now < self._due:
            return
        with self._work:
            overdue = self._books.outbox.take_overdue(now)
            limited = [batch for batch in self._books.sent.values() if batch.group.options.queue_timeout is not None]
            still = [self._books.outbox.begin_by(), *(call.begin_by for batch in limited for call in batch.unfinished)]
            self._due = min([inf, *(moment if moment > now else now + LOOK_EVERY for moment in still)])
        for call in overdue:
            call.fail(self._error(call, now))
        due = [
            (batch, message)
            for batch in limited
            if (message := batch.message) is not None and any(call.begin_by <= now for call in batch.unfinished)
        ]
        held = are_held(connection, [message for _, message in due]) if due else []
        for (batch, message), is_held in zip(due, held, strict=True):
            if not is_held and self._publisher.take_back(message):
                self._fail_overdue(batch, now)

    def _fail_overdue(self, batch: SentBatch, now: float) -> None:
        """Of a message that was taken back."""
        with self._work:
            self._books.drop(batch)
            calls = batch.unfinished
            self._books.put_back([call for call in calls if call.begin_by > now])
        for call in calls:
            if call.begin_by <= now:
                call.fail(self._error(call, now))

    def _error(self, call: Call, now: float) -> QueueTimeoutError:
        options = call.task.options
        limit = options.queue_timeout or 0.0
        again = " again" if call.attempts else ""
        if slots := self._census.serving(options.queue):
            advice = (
                f"{slots} worker processes serve the queue {options.queue!r}: start more, or give the call more time"
            )
        else:
            advice = (
                f"no worker serves the queue {options.queue!r}: start one with: "
                f"distribute-challenge worker --queues {options.queue}"
            )
        return QueueTimeoutError(
            f"{described(call.task)}: no worker has begun it{again} within queue_timeout={limit:g} s (it waited "
            f"{now - call.begin_by + limit:.1f} s), so it was taken back; {advice}"
        )
