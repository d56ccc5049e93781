"""Outcomes on their way from a worker's reply into futures.

Guarantees: a reply that comes twice does nothing the second time. Any thread may call, one for each list of replies.
"""

from collections.abc import Callable
from typing import Any

from distribute_challenge.core.condition import Condition
from distribute_challenge.core.messages import Reply, Task
from distribute_challenge.core.outcome import Failure
from distribute_challenge.execution_backends.celery.client.books import Books
from distribute_challenge.execution_backends.celery.client.calls import Call, SentBatch
from distribute_challenge.execution_backends.celery.client.recovery import Recovery
from distribute_challenge.execution_backends.celery.client.values import ClientValues, explain
from distribute_challenge.serialisation.outcomes import decode_outcomes

__all__ = ["Intake"]


class Intake:
    """One client's.

    Args:
        books: Its books.
        work: The lock of the books.
        values: Knows the large values of its tasks, and where large results lie.
        recovery: Has what cannot be used made good.
        new_call: Makes a call of a task; a part of a chunk is one.
    """

    def __init__(
        self,
        books: Books,
        work: Condition,
        values: ClientValues,
        recovery: Recovery,
        new_call: Callable[[Task], Call],
    ) -> None:
        self._books = books
        self._work = work
        self._values = values
        self._recovery = recovery
        self._new_call = new_call

    def take(self, batch: SentBatch, reply: Reply, received: float) -> None:
        """Take outcomes in.

        Args:
            batch: The message that they answer.
            reply: The reply.
            received: When it came, in seconds since the epoch.
        """
        outcomes = decode_outcomes(reply, self._values.adopt)
        if batch.calls[0].task.chunk:
            self._take_chunk(batch, reply, batch.joined(reply, outcomes), received)
            return
        is_whole = True
        with self._work:
            if outcomes:
                batch.group.sizer.record(len(outcomes), reply.finishes[-1] - reply.started)
            if reply.kept is not None:
                batch.group.sizer.cut_short()
                self._books.put_back(batch.keep(reply.kept))
            if reply.ended:
                if returned := batch.keep(reply.first + len(reply.finishes)):
                    batch.group.sizer.cut_short()
                    self._books.put_back(returned)
                is_whole = not reply.first or all(call.done() for call in batch.calls[: reply.first])
                if is_whole:
                    self._books.drop(batch)
        self._resolve(batch, reply, outcomes, received)
        if not is_whole:
            self._recovery.replace(batch)  # What should have come before this reply never did.

    def _take_chunk(self, batch: SentBatch, reply: Reply, outcomes: list[Any] | None, received: float) -> None:
        if outcomes is None:
            if reply.ended:
                self._recovery.replace(batch)
            return
        (call,) = batch.calls
        if reply.kept is not None and not batch.is_cut and not call.done():
            # Its own user of the values: the chunk's future lets them go now.
            self._values.retain(call.task.values)
            running = self._new_call(call.task)
            with self._work:
                batch.keep_running(running, done=len(outcomes), kept=reply.kept)
                running.batch, call.following = batch, (running, reply.kept - len(outcomes))
        elif not reply.ended:
            return
        else:
            with self._work:
                self._books.drop(batch)
        stages = call.task.created, batch.sent, reply.started, reply.finishes[-1], received, reply.worker
        if call.task.values:
            explain(call.task, outcomes)
        call.batch = None
        call.resolve(outcomes, stages)

    @staticmethod
    def _resolve(batch: SentBatch, reply: Reply, outcomes: list[Any], received: float) -> None:
        started = reply.started
        # Fewer calls than outcomes: some were given back, and another worker that got the message ran them as well.
        for call, outcome, finished in zip(batch.calls[reply.first :], outcomes, reply.finishes, strict=False):
            stages = call.task.created, batch.sent, started, finished, received, reply.worker
            if call.task.values:
                explain(call.task, outcome)
            if type(outcome) is Failure:
                call.fail(outcome.error, stages)
            else:
                call.resolve(outcome, stages)
            call.batch = None
            started = finished
