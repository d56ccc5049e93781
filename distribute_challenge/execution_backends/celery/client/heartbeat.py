"""What a client does once a second: show its presence, count workers, find lost messages."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import redis

from distribute_challenge.core.running_maps import maps_of
from distribute_challenge.execution_backends.celery.broker import presence, reports
from distribute_challenge.execution_backends.celery.broker.connection import translate
from distribute_challenge.execution_backends.celery.broker.keys import REPLY_EXPIRY
from distribute_challenge.execution_backends.celery.client.activity import Activity
from distribute_challenge.execution_backends.celery.client.calls import Call
from distribute_challenge.execution_backends.celery.client.direct import DirectConnections
from distribute_challenge.execution_backends.celery.client.lost_messages import (
    AFTER_FULL,
    LostMessages,
)
from distribute_challenge.execution_backends.celery.client.pending import PendingCalls
from distribute_challenge.execution_backends.celery.client.publisher import FULL_FOR
from distribute_challenge.execution_backends.celery.client.recovery import Recovery
from distribute_challenge.execution_backends.celery.client.session import Session
from distribute_challenge.execution_backends.celery.client.values import ClientValues
from distribute_challenge.execution_backends.celery.client.worker_counts import WorkerCounts
from distribute_challenge.log import logger
from distribute_challenge.settings import masked

__all__ = ["Heartbeat"]


@dataclass(eq=False, repr=False, kw_only=True)
class Heartbeat:
    """The heartbeat of one client; its receiver thread calls `beat` about once a second.

    Args:
        session: The client's session.
        pending: The client's calls.
        counts: Is told which workers are present.
        values: Is told which workers are present, and chooses the stores that they can see.
        lost_messages: Finds messages that have vanished.
        recovery: Sends those messages again.
        direct: Names the reply lists beside the client's own.
        activity: Records what the client does while a dashboard watches.
    """

    session: Session
    pending: PendingCalls
    counts: WorkerCounts
    values: ClientValues
    lost_messages: LostMessages
    recovery: Recovery
    direct: DirectConnections
    activity: Activity
    _full_since: float | None = field(default=None, init=False)

    def beat(self, now: float) -> None:
        """Show the client's presence, count workers, and replace lost messages.

        Args:
            now: Seconds of the monotonic clock.

        Raises:
            redis.RedisError: The broker does not answer.
            SecretError: Calls wait, and all workers have another secret.
        """
        with self.pending:
            waiting = self.pending.waiting()
            sent = list(self.pending.sent.values())
        connection = self.session.connection
        try:
            self._show(waiting)
            self._full_since = None
        except redis.OutOfMemoryError as error:
            self.distrust(now + AFTER_FULL)  # Even if no message is missing now.
            self._look_at_unsent(error, now)
        if sent:
            connection.expire(self.session.replies, REPLY_EXPIRY)
        workers = presence.workers(connection)
        self.counts.take(workers, waiting, now, partial(presence.strangers, connection))
        self.values.see(workers)
        for batch in self.lost_messages.find(connection, sent, self.direct.keys, now):
            self.recovery.replace(batch)
        with self.pending:
            self.pending.notify()  # With more workers, more messages may be sent.

    def _show(self, waiting: Mapping[str, int]) -> None:
        """Show the client's presence; while a dashboard watches, report what the client does."""
        connection, activity = self.session.connection, self.activity
        unfinished = Counter(waiting)
        for _, running in maps_of(activity.sender):
            unfinished[running.queue] += running.unsent
        queues = {queue: count for queue, count in unfinished.items() if count}
        presence.show(
            connection,
            presence.ClientPresence(self.session.client, unfinished.total(), queues),
        )
        activity.watch(reports.is_watched(connection))
        if activity.is_watched:
            with self.pending:
                calls = self.pending.by_function()
            activity.graph_calls.count(self._unfinished)
            reports.report(
                connection, activity.report(self.session.client, connection.clock.now(), calls)
            )

    def _unfinished(self) -> list[Call]:
        with self.pending:
            return list(self.pending.calls())

    def _look_at_unsent(self, error: redis.OutOfMemoryError, now: float) -> None:
        """Fail the unsent calls once Redis has been full for `FULL_FOR` seconds.

        They wait for the messages before them, which may never be done.
        """
        if self._full_since is None:
            self._full_since = now
            with self.pending:
                waiting = sum(self.pending.outbox.waiting.values())
            if waiting:
                logger.warning(
                    "%s has no memory left; calls that wait here: %d",
                    masked(self.session.connection.url),
                    waiting,
                )
        if now - self._full_since < FULL_FOR:
            return
        with self.pending:
            unsent = self.pending.outbox.clear()
        if unsent:
            failure = translate(self.session.connection.url, error)
            for call in unsent:
                call.fail(failure)

    def distrust(self, until: float) -> None:
        """Take what Redis says of messages and workers as out of date for a while.

        Args:
            until: Until when, in seconds of the monotonic clock.
        """
        self.lost_messages.distrust(until)
        self.counts.distrust(until)
