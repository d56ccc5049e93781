"""Sends the waiting calls of a client, several in one message: what its sender thread does."""

from dataclasses import dataclass
from functools import partial

from distribute_challenge.core.batching import HOLD
from distribute_challenge.errors import SystemFailureError
from distribute_challenge.execution_backends.celery.client.calls import SentBatch
from distribute_challenge.execution_backends.celery.client.complaints import Complaints
from distribute_challenge.execution_backends.celery.client.pending import PendingCalls
from distribute_challenge.execution_backends.celery.client.publisher import Publisher
from distribute_challenge.execution_backends.celery.client.recovery import Recovery
from distribute_challenge.execution_backends.celery.client.strands import Strands
from distribute_challenge.execution_backends.celery.client.worker_counts import WorkerCounts

__all__ = ["Sender"]


@dataclass(eq=False, repr=False, kw_only=True)
class Sender:
    """Sends the calls of one client; the client's sender thread calls `run`.

    Args:
        pending: The client's calls.
        counts: Says how many worker processes there are, which bounds the messages that are out.
        strands: Finds calls that can go with those that they need.
        publisher: Sends a message.
        recovery: Fails the calls of a message that cannot be sent.
        complaints: Logs messages that cannot be sent.
    """

    pending: PendingCalls
    counts: WorkerCounts
    strands: Strands
    publisher: Publisher
    recovery: Recovery
    complaints: Complaints

    def run(self) -> None:
        """Send calls until the client closes."""
        # Each message has a method of its own: a frame that waits for the next one would keep the
        # last one alive, with futures that the program has dropped and all that they refer to.
        while self._send_next():
            pass

    def _send_next(self) -> bool:
        """Wait for calls and send them, or let them wait again; return False if the client closes."""
        batch = self._next_batch()
        if batch is None:
            if self.pending.is_closing:
                return False
            self.strands.give_back()
            return True
        try:
            self.strands.extend(batch, self.counts.slots(batch.group.options.queue))
            error = self.publisher.publish_in_the_end(batch, partial(self._is_over, batch))
        except Exception as unforeseen:
            self.complaints.add("a message cannot be sent", unforeseen)
            error = SystemFailureError(
                f"{batch.group.function.name} could not be sent: {unforeseen!r}"
            )
        if error is not None:
            self.recovery.fail(batch, error)
        return True

    def _next_batch(self) -> SentBatch | None:
        with self.pending:
            while not (self.pending.is_closing or self.pending.returned):
                group = self.pending.next_group(self.counts.slots)
                if group is not None:
                    slots = self.counts.slots(group.options.queue)
                    return self.pending.register(group, group.take(slots), slots)
                self.pending.wait(HOLD if self.pending.outbox.holds else None)
            return None

    def _is_over(self, batch: SentBatch) -> bool:
        return self.pending.is_closing or batch.id not in self.pending.sent
