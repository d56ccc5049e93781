"""Sends the calls of a message that brought no outcomes again, or fails them.

Guarantees: no future is resolved, and no error's text is made, under the lock of the pending calls.
Any thread may call.
"""

from collections.abc import Callable
from functools import partial

from distribute_challenge import settings
from distribute_challenge.core import clock
from distribute_challenge.core.messages import Problem, Reply
from distribute_challenge.errors import Attempt, DistributeChallengeError, SystemFailureError
from distribute_challenge.execution_backends import policy
from distribute_challenge.execution_backends.celery.client.activity import Activity
from distribute_challenge.execution_backends.celery.client.calls import Call, SentBatch
from distribute_challenge.execution_backends.celery.client.pending import PendingCalls
from distribute_challenge.execution_backends.celery.client.publisher import Publisher
from distribute_challenge.execution_backends.celery.client.values import ClientValues
from distribute_challenge.execution_backends.policy import MakeError

__all__ = ["Recovery"]


class Recovery:
    """Sends the calls of one client again, or fails them; its receiver and its heartbeat call it.

    Args:
        pending: The client's calls.
        publisher: Is told which functions to upload again.
        values: Copies large values to a store that all workers can read.
        activity: Records failures while a dashboard watches.
    """

    def __init__(
        self,
        pending: PendingCalls,
        publisher: Publisher,
        values: ClientValues,
        activity: Activity,
    ) -> None:
        self._activity = activity
        self._pending = pending
        self._publisher = publisher
        self._values = values
        self._attempts = settings.attempts()

    def solve(self, batch: SentBatch, reply: Reply) -> None:
        """Handle a problem that a worker has replied with.

        Args:
            batch: The message that the worker could not run.
            reply: The reply with the problem.
        """
        problem = reply.problem
        assert problem is not None
        if problem.kind == "function_missing":
            self._publisher.forget(problem.text)
            self._end(batch, partial(self._missed, batch))
        elif problem.kind == "value_missing" and not any(call.cancelled() for call in batch.calls):
            self._values.provide_everywhere(problem.text.split(), partial(self._send_again, batch))
        else:
            # The calls may end their process again, so each is sent alone. A message that expired
            # has not begun, so its calls may be sent together.
            after = partial(self._failed, batch, reply.worker, problem)
            self._end(batch, after, alone=problem.kind not in policy.HARMLESS)

    def replace(self, batch: SentBatch) -> None:
        """Send the calls of a message again, or fail them.

        Args:
            batch: The message; it has vanished, or a part of its reply has.
        """
        self._end(batch, partial(self._vanished, batch))

    def fail(self, batch: SentBatch, error: DistributeChallengeError) -> None:
        """Fail all unfinished calls of a message.

        Args:
            batch: The message.
            error: The error to fail them with.
        """
        with self._pending:
            self._pending.drop(batch)
        for call in batch.unfinished:
            call.fail(error)

    def _send_again(self, batch: SentBatch, error: SystemFailureError | None) -> None:
        """Send the rest of a batch again once its values are provided, or fail it.

        Args:
            batch: The batch.
            error: Why the values could not be provided; None: they are.
        """
        self._end(
            batch, partial(self._missed, batch) if error is None else lambda *_: lambda: error
        )

    # Each of these records what happened to one call, and asks the policy for the error to fail it
    # with; None: send the call again.

    def _failed(
        self, batch: SentBatch, worker: str, problem: Problem, call: Call, others: int
    ) -> MakeError | None:
        if policy.counts(call.task, problem):
            call.attempts += (
                Attempt(worker, batch.sent, clock.now(), problem.text, others, problem.facts),
            )
        return policy.after_problem(
            call.task, call.attempts, problem, allowed=self._attempts, calls=others
        )

    def _vanished(self, batch: SentBatch, call: Call, others: int) -> MakeError | None:
        reason = (
            "its message is gone from Redis: it is in no queue, no worker has it, and no reply came"
        )
        call.attempts += (Attempt("", batch.sent, clock.now(), reason, others),)
        call.losses += 1
        return policy.after_vanishing(call.task, call.attempts, call.losses, is_cut=batch.is_cut)

    @staticmethod
    def _missed(batch: SentBatch, call: Call, others: int) -> MakeError | None:
        call.misses += 1
        return policy.after_miss(call.task, call.misses, is_cut=batch.is_cut)

    def _end(
        self,
        batch: SentBatch,
        after: Callable[[Call, int], MakeError | None],
        *,
        alone: bool = False,
    ) -> None:
        with self._pending:
            if batch.id not in self._pending.sent:
                return  # A reply, or a cancellation, came first.
            unfinished = batch.unfinished
            others = sum(call.task.calls for call in unfinished)
            ends = [(call, after(call, others)) for call in unfinished]
            self._pending.drop(batch)
            again = [call for call, make_error in ends if make_error is None]
            for call in again:
                call.alone = call.alone or alone
            self._pending.put_back(again)
        for call, make_error in ends:
            if make_error is not None:
                self._fail(batch, call, make_error())

    def _fail(self, batch: SentBatch, call: Call, error: DistributeChallengeError) -> None:
        if self._activity.is_watched:
            self._activity.failed(batch.group, batch.chunk_size or 1)
        result = policy.result_of_lost(call.task, error, batch.outcomes_so_far(), batch.chunk_size)
        if result is None:
            call.fail(error)
        else:
            call.resolve(result)
