"""Where a client's replies come in: read from its lists, opened, and handed to whom they concern.

    reply ──> opened and decoded ──> outcomes: intake
                    │          ├───> a problem: recovery
                    │          └───> lines that calls print: call logs
                    └─ refused, if nobody who has the secret has made it for this list

A reply that nobody waits for any more leaves nothing behind.
"""

import threading
from collections.abc import Collection, Iterator
from typing import Any

from distribute_challenge import clock
from distribute_challenge.errors import ForgedError, SystemFailureError, VersionMismatchError
from distribute_challenge.execution_backends.celery.broker.connection import Broker
from distribute_challenge.execution_backends.celery.client.books import Books
from distribute_challenge.execution_backends.celery.client.call_logs import CallLogs
from distribute_challenge.execution_backends.celery.client.calls import SentBatch
from distribute_challenge.execution_backends.celery.client.complaints import Complaints
from distribute_challenge.execution_backends.celery.client.intake import Intake
from distribute_challenge.execution_backends.celery.client.ledger import Ledger
from distribute_challenge.execution_backends.celery.client.recovery import Recovery
from distribute_challenge.execution_backends.celery.client.values import ClientValues
from distribute_challenge.messages import Reply
from distribute_challenge.security import Purpose

__all__ = ["Inbox"]

REPLIES_AT_ONCE = 100  # Replies fetched in one round trip when many are there.


class Inbox:
    """Takes in the replies of one client.

    Args:
        connection: The receiver thread's own.
        replies: The list that most replies come to.
        books: What they may answer.
        intake: Takes outcomes in.
        recovery: Solves problems.
        values: Frees the large values of replies that nobody waits for.
        ledger: Counts what was read.
        logs: Takes in what calls print.
        complaints: Of replies that cannot be taken in.

    Guarantees: `receive` is called by the receiver thread; `take` by any, for a list that it reads alone.
    """

    def __init__(
        self,
        connection: Broker,
        replies: str,
        *,
        books: Books,
        intake: Intake,
        recovery: Recovery,
        values: ClientValues,
        ledger: Ledger,
        logs: CallLogs,
        complaints: Complaints,
    ) -> None:
        self._connection = connection
        self._keyring = connection.keyring
        self._replies = replies
        self._books = books
        self._intake = intake
        self._recovery = recovery
        self._values = values
        self._ledger = ledger
        self._logs = logs
        self._complaints = complaints

    def receive(self, others: Collection[str], seconds: float) -> None:
        """Take in what comes.

        Args:
            others: Lists to read besides the common one.
            seconds: How long to wait if nothing is there.

        Raises:
            redis.RedisError: The broker does not answer.
        """
        # By itself, so that no frame of a reply is kept while there is none.
        for key, sealed in self._wait_for_replies(others, seconds):
            self.take(key, sealed)

    def take(self, key: str, sealed: bytes) -> SentBatch | None:
        """Take in a reply that came by a list; the message that it answers, if that was waited for.

        None also where it brings lines that calls have printed: then another one follows.
        """
        if not sealed:
            return None  # It wakes the receiver, and no more.
        received = clock.now()
        try:
            reply = Reply.decode(self._keyring.open(Purpose.reply(key), sealed))
        except (ForgedError, VersionMismatchError) as error:
            self._keyring.refusals.note("a reply", str(error), sealed)
            return None
        batch = self._books.sent.get(reply.batch)
        if reply.is_log:
            self._take_lines(batch, reply)
            return None
        if batch is None:
            self._discard(reply)
            return None  # Answered before: the broker delivered the message twice.
        if batch.log_number:
            self._logs.wait_until_shown(batch)
        try:
            if reply.problem is not None:
                self._recovery.solve(batch, reply)
            else:
                self._intake.take(batch, reply, received)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                raise  # Ctrl+C. In any other thread, it and SystemExit are the user's objects' own, as they are unpickled.
            self._complaints.add("a reply cannot be taken in", error)
            failure = SystemFailureError(f"the reply of {reply.worker} cannot be taken in: {type(error).__name__}")
            failure.__cause__ = error  # What it says itself may be code of the user's, too.
            self._recovery.fail(batch, failure)
        return batch

    def _take_lines(self, batch: SentBatch | None, reply: Reply) -> None:
        if batch is not None:
            try:
                self._logs.take(batch, reply)
            except ForgedError as error:
                self._keyring.refusals.note("a reply", str(error), reply.batch)

    def _wait_for_replies(self, others: Collection[str], seconds: float) -> Iterator[tuple[str, bytes]]:
        # The common list last: it may never be empty.
        found: Any = self._connection.blpop([*others, self._replies], timeout=seconds)
        if found is not None:
            key = found[0].decode(errors="replace")
            if key == self._replies:
                self._ledger.read += 1
            # The first by itself: somebody may be waiting for just this one, and looking for more takes as long again.
            yield key, found[1]
            more: Any = self._connection.lpop(self._replies, REPLIES_AT_ONCE) or []
            self._ledger.read += len(more)
            yield from ((self._replies, sealed) for sealed in more)

    def _discard(self, reply: Reply) -> None:
        try:
            self._values.discard(reply)
        except Exception as error:
            self._keyring.refusals.note("a reply", f"it cannot be discarded: {type(error).__name__}", reply.batch)
