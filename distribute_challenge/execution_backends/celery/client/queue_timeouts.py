"""Takes back and fails the calls that no worker has begun within their `queue_timeout`.

A call's time counts from when it was made, or from when it was last lost. A call that a worker
holds is left alone.

Guarantees: any thread may call `watch`; only the receiver thread calls `look`.
"""

from math import inf

import redis

from distribute_challenge.core import clock
from distribute_challenge.errors import QueueTimeoutError
from distribute_challenge.execution_backends.celery.client.calls import Call, SentBatch
from distribute_challenge.execution_backends.celery.client.pending import PendingCalls
from distribute_challenge.execution_backends.celery.client.publisher import Publisher
from distribute_challenge.execution_backends.celery.client.whereabouts import are_held
from distribute_challenge.execution_backends.celery.client.worker_counts import WorkerCounts
from distribute_challenge.execution_backends.policy import queue_timeout_error

__all__ = ["QueueTimeouts"]

LOOK_EVERY = 1.0  # Seconds between two attempts to take back a call that is due.
SHORTEST_WAIT = 0.01  # Seconds; Redis takes a wait of 0 as endless.


class QueueTimeouts:
    """Fails the calls of one client that wait for too long; its receiver thread calls `look`.

    Args:
        pending: The client's calls.
        publisher: Takes messages back.
        counts: Tells how many child processes serve a queue.
    """

    def __init__(self, pending: PendingCalls, publisher: Publisher, counts: WorkerCounts) -> None:
        self._pending = pending
        self._publisher = publisher
        self._counts = counts
        self._due = inf

    def watch(self, call: Call) -> None:
        """Watch a call that has a `queue_timeout`. The caller holds the lock of `PendingCalls`."""
        self._due = min(self._due, call.begin_by)

    def wait(self, longest: float) -> float:
        """Return the seconds until the next `look`, at most `longest`."""
        return min(longest, max(SHORTEST_WAIT, self._due - clock.now()))

    def look(self, connection: redis.Redis) -> None:
        """Fail the calls that have waited for too long.

        Args:
            connection: To the broker.

        Raises:
            redis.RedisError: The broker does not answer.
        """
        now = clock.now()
        if now < self._due:
            return
        with self._pending:
            overdue = self._pending.outbox.take_overdue(now)
            limited = [
                batch
                for batch in self._pending.sent.values()
                if batch.group.options.queue_timeout is not None
            ]
            still = [
                self._pending.outbox.begin_by(),
                *(call.begin_by for batch in limited for call in batch.unfinished),
            ]
            self._due = min(
                [inf, *(moment if moment > now else now + LOOK_EVERY for moment in still)]
            )
        for call in overdue:
            call.fail(self._error(call, now))
        due = [
            (batch, message)
            for batch in limited
            if (message := batch.message) is not None
            and any(call.begin_by <= now for call in batch.unfinished)
        ]
        held = are_held(connection, [message for _, message in due]) if due else []
        for (batch, message), is_held in zip(due, held, strict=True):
            if not is_held and self._publisher.take_back(message):
                self._fail_overdue(batch, now)

    def _fail_overdue(self, batch: SentBatch, now: float) -> None:
        """Fail the calls that are due in a message that was taken back; queue the others again."""
        with self._pending:
            self._pending.drop(batch)
            calls = batch.unfinished
            self._pending.put_back([call for call in calls if call.begin_by > now])
        for call in calls:
            if call.begin_by <= now:
                call.fail(self._error(call, now))

    def _error(self, call: Call, now: float) -> QueueTimeoutError:
        queue = call.task.options.queue
        if slots := self._counts.serving(queue):
            advice = (
                f"{slots} worker processes serve the queue {queue!r}: "
                f"start more, or give the call more time"
            )
        else:
            advice = (
                f"no worker serves the queue {queue!r}: start one with: "
                f"distribute-challenge worker --queues {queue}"
            )
        return queue_timeout_error(call.task, call.attempts, now, advice)
