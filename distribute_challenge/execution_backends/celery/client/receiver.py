"""Reads a client's replies from its lists, opens and decodes them, and resolves futures.

    reply ──> opened and decoded ──> outcomes: into futures
                    │          ├───> a problem: recovery
                    │          └───> lines that calls print: call logs
                    └─ refused, unless a holder of the secret has made it for this list

A reply that no call waits for any more is discarded, with the values that it refers to. A reply
that comes twice does nothing the second time.
"""

import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from distribute_challenge.core import clock
from distribute_challenge.core.chunk_result import ChunkResult
from distribute_challenge.core.messages import Reply, Task
from distribute_challenge.core.outcome import UNBEGUN, Failure
from distribute_challenge.errors import ForgedError, SystemFailureError, VersionMismatchError
from distribute_challenge.execution_backends.celery.client.activity import Activity
from distribute_challenge.execution_backends.celery.client.call_logs import CallLogs
from distribute_challenge.execution_backends.celery.client.calls import Call, SentBatch
from distribute_challenge.execution_backends.celery.client.complaints import Complaints
from distribute_challenge.execution_backends.celery.client.lost_messages import LostMessages
from distribute_challenge.execution_backends.celery.client.pending import PendingCalls
from distribute_challenge.execution_backends.celery.client.recovery import Recovery
from distribute_challenge.execution_backends.celery.client.session import Session
from distribute_challenge.execution_backends.celery.client.values import ClientValues, explain
from distribute_challenge.security import Purpose
from distribute_challenge.serialisation.outcomes import (
    bytes_of,
    decode_outcomes,
    note_size,
    note_sizes,
    stored_bytes,
)

__all__ = ["Receiver"]

REPLIES_AT_ONCE = 100  # Replies fetched in one round trip when many are there.


@dataclass(eq=False, repr=False, kw_only=True)
class Receiver:
    """Takes in the replies of one client.

    The client's receiver thread calls `receive`. A caller that waits at a reply list of its own
    calls `deliver`.

    Args:
        session: The client's session.
        pending: The calls that replies may answer.
        recovery: Handles problems that workers reply with.
        values: Takes over large results, and frees those that no call waits for.
        lost_messages: Is told how many replies were read.
        logs: Takes in the lines that calls print.
        complaints: Logs replies that cannot be taken in.
        new_call: Makes a future for the rest of a chunk, from the chunk's task.
        activity: Records what the client does while a dashboard watches.
    """

    session: Session
    pending: PendingCalls
    recovery: Recovery
    values: ClientValues
    lost_messages: LostMessages
    logs: CallLogs
    complaints: Complaints
    new_call: Callable[[Task], Call]
    activity: Activity

    def __post_init__(self) -> None:
        self._keyring = self.session.connection.keyring

    def receive(self, others: Collection[str], seconds: float) -> None:
        """Wait for replies, and take them in.

        Args:
            others: Keys of lists to read besides the client's own.
            seconds: How long to wait if no reply is there.

        Raises:
            redis.RedisError: The broker does not answer.
        """
        # A generator in a function of its own, so that no reply is kept while the next is awaited.
        for key, sealed in self._wait_for_replies(others, seconds):
            self.deliver(key, sealed)

    def deliver(self, key: str, sealed: bytes) -> SentBatch | None:
        """Take in a reply.

        Args:
            key: Key of the list that it came by.
            sealed: The reply, sealed; empty: it only wakes the receiver.

        Returns:
            The message that it answers. None if the client does not wait for that message, or the
            reply is refused, or it only has lines that calls have printed: then another reply
            follows.
        """
        if not sealed:
            return None
        received = clock.now()
        try:
            reply = Reply.decode(self._keyring.open(Purpose.reply(key), sealed))
        except (ForgedError, VersionMismatchError) as error:
            self._keyring.refusals.note("a reply", str(error), sealed)
            return None
        batch = self.pending.sent.get(reply.batch)
        if reply.is_log:
            self._take_lines(batch, reply)
            return None
        if batch is None:
            self._discard(reply)
            return None  # Answered before: the broker delivered the message twice.
        if batch.log_number:
            self.logs.wait_until_shown(batch)
        try:
            if reply.problem is not None:
                self.recovery.solve(batch, reply)
            else:
                self._take_outcomes(batch, reply, received)
        except BaseException as error:
            if (
                isinstance(error, KeyboardInterrupt)
                and threading.current_thread() is threading.main_thread()
            ):
                # Ctrl+C. In any other thread, the user's objects raise KeyboardInterrupt and
                # SystemExit, while they are unpickled.
                raise
            self.complaints.add("a reply cannot be taken in", error)
            failure = SystemFailureError(
                f"the reply of {reply.worker} cannot be taken in: {type(error).__name__}"
            )
            failure.__cause__ = error  # Not `str(error)`, which may run code of the user's.
            self.recovery.fail(batch, failure)
        return batch

    def _take_lines(self, batch: SentBatch | None, reply: Reply) -> None:
        if batch is not None:
            try:
                self.logs.take(batch, reply)
            except ForgedError as error:
                self._keyring.refusals.note("a reply", str(error), reply.batch)

    def _wait_for_replies(
        self, others: Collection[str], seconds: float
    ) -> Iterator[tuple[str, bytes]]:
        # The client's own list comes last, as it may never be empty.
        found: Any = self.session.connection.blpop([*others, self.session.replies], timeout=seconds)
        if found is not None:
            key = found[0].decode(errors="replace")
            if key == self.session.replies:
                self.lost_messages.read += 1
            # The first reply is delivered alone: a caller may be waiting for it, and fetching more
            # takes as long again.
            yield key, found[1]
            more: Any = self.session.connection.lpop(self.session.replies, REPLIES_AT_ONCE) or []
            self.lost_messages.read += len(more)
            yield from ((self.session.replies, sealed) for sealed in more)

    def _discard(self, reply: Reply) -> None:
        try:
            self.values.discard(reply)
        except Exception as error:
            self._keyring.refusals.note(
                "a reply", f"it cannot be discarded: {type(error).__name__}", reply.batch
            )

    # --- outcomes, on their way into futures

    def _take_outcomes(self, batch: SentBatch, reply: Reply, received: float) -> None:
        is_chunk = bool(batch.calls[0].task.chunk)
        outcomes = decode_outcomes(reply, self.values.adopt, None if is_chunk else self.values.keep)
        if is_chunk:
            self._take_chunk(batch, reply, batch.joined(reply, outcomes), received)
            return
        if self.activity.is_watched:
            self.activity.answered(batch, reply, outcomes, received)
        is_whole = True
        with self.pending:
            if outcomes:
                _record_times(batch, reply, outcomes)
            if reply.kept is not None:
                self._put_back_from(batch, reply.kept)
            if reply.ended:
                self._put_back_from(batch, reply.first + len(reply.finishes))
                is_whole = not reply.first or all(
                    call.done() or call.batch is not batch for call in batch.calls[: reply.first]
                )
                if is_whole:
                    self.pending.drop(batch)
        self._resolve(batch, reply, outcomes, received)
        if not is_whole:
            self.recovery.replace(batch)  # An earlier reply of the message never came.

    def _take_chunk(
        self, batch: SentBatch, reply: Reply, outcomes: list[Any] | None, received: float
    ) -> None:
        if outcomes is None:
            if reply.ended:
                self.recovery.replace(batch)
            return
        (call,) = batch.calls
        note_size(call, reply.sections)
        running, count = None, 0
        if reply.kept is not None and not batch.is_cut and not call.done():
            # The new future needs the values, too: the chunk's future releases them now.
            self.values.retain(call.task.values)
            running, count = self.new_call(call.task), reply.kept - len(outcomes)
            with self.pending:
                batch.keep_running(running, done=len(outcomes), kept=reply.kept)
                running.batch = batch
        elif not reply.ended:
            return
        else:
            with self.pending:
                self.pending.drop(batch)
        stages = (
            call.task.created,
            batch.sent,
            reply.started,
            reply.finishes[-1],
            received,
            reply.worker,
        )
        if self.activity.is_watched:
            self.activity.chunk_answered(batch, reply, outcomes, received)
        if call.task.values:
            explain(call.task, outcomes)
        call.batch = None
        size = bytes_of(reply.sections)
        call.resolve(ChunkResult(outcomes, running, count, size), stages)
        if running is not None and call.cancelled():
            # The map was cancelled just now. It does not get the result, so it cannot do this.
            running.cancel(force=True)

    def _put_back_from(self, batch: SentBatch, kept: int) -> None:
        """Send the calls from a number on again, which a worker has given back."""
        if returned := batch.keep(kept):
            # The call before them took long.
            for group, _, _ in batch.groups(kept - 1, kept):
                group.sizer.cut_short()
            self.pending.put_back(returned)

    def _resolve(
        self, batch: SentBatch, reply: Reply, outcomes: list[Any], received: float
    ) -> None:
        started = reply.started
        note_sizes(batch.calls[reply.first :], reply.sections)
        # There may be fewer calls than outcomes: one worker gave some calls back, and another
        # worker that got the message ran them all.
        for call, outcome, finished in zip(
            batch.calls[reply.first :], outcomes, reply.finishes, strict=False
        ):
            stages = call.task.created, batch.sent, started, finished, received, reply.worker
            started = finished
            if outcome is UNBEGUN:
                with self.pending:
                    self.pending.put_back([call])
                continue
            if call.task.values:
                explain(call.task, outcome)
            if type(outcome) is Failure:
                call.fail(outcome.error, stages)
            else:
                call.resolve(outcome, stages)
            call.batch = None


def _record_times(batch: SentBatch, reply: Reply, outcomes: list[Any]) -> None:
    """Record how long the calls of a reply took, for each function."""
    offset, finishes = reply.first, reply.finishes
    has_failed = False
    for group, first, last in batch.groups(offset, offset + len(outcomes)):
        own = outcomes[first - offset : last - offset]
        begun = sum(outcome is not UNBEGUN for outcome in own)
        has_failed = has_failed or any(type(outcome) is Failure for outcome in own)
        if begun < len(own) and not has_failed:
            group.follows = False
        if begun:
            start = finishes[first - offset - 1] if first > offset else reply.started
            large = stored_bytes(reply.sections, first - offset, last - offset)
            group.sizer.record(begun, finishes[last - offset - 1] - start, large)
