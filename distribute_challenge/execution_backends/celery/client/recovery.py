"""What happens to the calls of a message that came to nothing: they are sent again, or fail.

Guarantees: no future is resolved, and no error's text made, under the lock of the books. Any thread may call.
"""

import threading
from collections.abc import Callable
from functools import partial

from distribute_challenge import settings
from distribute_challenge.errors import DistributeChallengeError, SystemFailureError
from distribute_challenge.execution_backends.celery.client.books import Books
from distribute_challenge.execution_backends.celery.client.calls import Call, SentBatch
from distribute_challenge.execution_backends.celery.client.losses import (
    HARMLESS,
    Verdict,
    verdict,
    verdict_on_missing,
    verdict_on_vanished,
)
from distribute_challenge.execution_backends.celery.client.publisher import Publisher
from distribute_challenge.execution_backends.celery.client.values import ClientValues
from distribute_challenge.messages import Reply
from distribute_challenge.outcome import Failure

__all__ = ["Recovery"]


class Recovery:
    """One client's.

    Args:
        books: Its books.
        work: The lock of the books.
        publisher: Knows which functions workers have.
        values: Brings large values to where all workers find them.
    """

    def __init__(self, books: Books, work: threading.Condition, publisher: Publisher, values: ClientValues) -> None:
        self._books = books
        self._work = work
        self._publisher = publisher
        self._values = values
        self._attempts = settings.attempts()

    def solve(self, batch: SentBatch, reply: Reply) -> None:
        """Do what a worker's problem asks for."""
        problem = reply.problem
        assert problem is not None
        if problem.kind == "function_missing":
            self._publisher.forget(batch.group.function)
            self._end(batch, partial(verdict_on_missing, batch=batch))
        elif problem.kind == "value_missing" and not any(call.cancelled() for call in batch.calls):
            self._values.provide_everywhere(problem.text.split(), partial(self._send_again, batch))
        else:
            # One that has died may do so again: its calls travel one by one. To a message that was too old nothing happened.
            judge = partial(verdict, batch=batch, problem=problem, worker=reply.worker, attempts=self._attempts)
            self._end(batch, judge, alone=problem.kind not in HARMLESS)

    def replace(self, batch: SentBatch) -> None:
        """A message has vanished, or a part of its reply."""
        self._end(batch, partial(verdict_on_vanished, batch=batch))

    def fail(self, batch: SentBatch, error: DistributeChallengeError) -> None:
        """Nothing is to be done for a message; its calls fail."""
        with self._work:
            self._books.drop(batch)
        for call in batch.unfinished:
            call.fail(error)

    def _send_again(self, batch: SentBatch, error: SystemFailureError | None) -> None:
        """Send what is left of a batch, now that its values are to be had; or fail it, as they are not."""
        self._end(batch, partial(verdict_on_missing, batch=batch) if error is None else lambda *_: lambda: error)

    def _end(self, batch: SentBatch, judge: Callable[[Call, int], Verdict | None], *, alone: bool = False) -> None:
        with self._work:
            if batch.id not in self._books.sent:
                return  # Over meanwhile.
            unfinished = batch.unfinished
            others = sum(call.task.calls for call in unfinished)
            verdicts = [(call, judge(call, others)) for call in unfinished]
            self._books.drop(batch)
            again = [call for call, error_of in verdicts if error_of is None]
            for call in again:
                call.alone = call.alone or alone
            self._books.put_back(again)
        for call, error_of in verdicts:
            if error_of is not None:
                self._fail(batch, call, error_of())

    @staticmethod
    def _fail(batch: SentBatch, call: Call, error: DistributeChallengeError) -> None:
        if not (call.task.chunk and call.task.options.at_most_once):
            call.fail(error)
            return
        # What the map would do with an error is to send the calls again. So each call has its outcome here.
        outcomes = batch.outcomes_so_far()
        call.resolve([*outcomes, *[Failure(error)] * (batch.chunk_size - len(outcomes))])
