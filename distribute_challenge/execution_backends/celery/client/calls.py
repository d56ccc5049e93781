"""A client's record of one call, and of one message with calls that waits for its reply."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from distribute_challenge.core import clock
from distribute_challenge.core.compact import compact
from distribute_challenge.core.following import Follower, Following
from distribute_challenge.core.forks import generation
from distribute_challenge.core.futures import Future
from distribute_challenge.core.lazy_future import OFTEN_SET
from distribute_challenge.core.messages import Reply, Task
from distribute_challenge.errors import Attempt
from distribute_challenge.execution_backends.celery.broker.publishing import Message
from distribute_challenge.execution_backends.loss_report import described
from distribute_challenge.execution_backends.policy import begin_by

if TYPE_CHECKING:
    from contextvars import Context

    from distribute_challenge.execution_backends.celery.client.outbox import Group

__all__ = ["Call", "SentBatch"]


@compact(*OFTEN_SET, "task", "_take_back", "is_waiting", "batch", "follower")
class Call(Future[Any]):
    """The future of one call, with all that its client knows about the call.

    Args:
        task: The task to run.
        take_back: Takes the call off the queue that it waits in, and returns whether it will never
            run. With ``force``, it stops a call that is cancelled already, wherever the call is.

    Attributes:
        task: The task to run.
        attempts: The attempts that brought no outcome.
        batch: The message that the call was sent with; None before that.
        losses: How many times its message vanished from Redis.
        misses: How many times a worker did not find its function, or a large value that it needs.
        alone: Whether the call must have a message of its own, because a process died that ran it.
        context: Context in which a notebook shows what it prints; None: this is no notebook.
        is_waiting: Whether it waits to be sent, in an `Outbox`.
        follower: The call of the graph for which it was sent beside the calls that it needs; None
            if it can be sent by itself.
    """

    is_waiting = False
    follower: "Follower | None" = None
    batch: "SentBatch | None" = None
    attempts: tuple[Attempt, ...] = ()
    losses = 0
    misses = 0
    alone = False
    context: "Context | None" = None

    def __init__(self, task: Task, take_back: Callable[..., bool]) -> None:
        self.name = task.function.name
        self.task = task
        if task.attempts:
            self.attempts = task.attempts
            self.alone = True
        self._take_back = take_back
        if generation[0]:
            self._generation = generation[0]

    @property
    def begin_by(self) -> float:
        """When a worker must have begun it, in seconds since the epoch.

        Infinite without a `queue_timeout`.
        """
        return begin_by(self.task, self.attempts)

    def running(self) -> bool:
        batch = self.batch
        return batch is not None and not self.done() and batch.is_running(self)

    def call_text(self) -> str:
        return described(self.task)

    def stage(self) -> str:
        # Only the broker knows more, unless the worker has sent lines that the call has printed.
        batch = self.batch
        if self._lines is None or batch is None or not batch.log_replies:
            return "pending"
        return f"running on {next(reversed(batch.log_replies))}"

    def cancel(self, force: bool = False) -> bool:
        if self.done():
            return self.cancelled()
        if force:
            # Cancel the future first, so that the client does not send the call again.
            return self._cancel() and self._take_back(self, force=True)
        return self._take_back(self) and self._cancel()


class SentBatch:
    """A message that the client has sent, or is sending, until its last reply.

    Args:
        id: Id of the batch.
        group: The group that its calls come from.
        calls: Its calls, in order.
        patience: Seconds that a worker may take before it gives back the calls that it has not
            begun.

    Attributes:
        id: Id of the batch.
        calls: Its calls, in order.
        patience: As given.
        following: The groups of the last calls, which follow those before, with their numbers.
        message: The message itself, so that it can be found in its queue and taken back.
        is_held: Asks the broker whether a worker has the message; None before it is sent.
        pushed: When Redis had the message, in seconds of the monotonic clock; None while it is
            being sent.
        reply_to: Key of the list that the replies go to.
        sent: When it was made, in seconds since the epoch.
        log_number: Number to give to `LogPrinter.wait`, until all lines of its calls that have
            come are shown.
        log_replies: How many replies with lines came, by worker; None: none did.
    """

    __slots__ = (
        "_end",
        "_parts",
        "_sent_calls",
        "_start",
        "calls",
        "following",
        "group",
        "id",
        "is_held",
        "log_number",
        "log_replies",
        "message",
        "patience",
        "pushed",
        "reply_to",
        "sent",
    )

    def __init__(self, id: str, group: "Group", calls: Sequence[Call], patience: float) -> None:  # noqa: A002 - as on the wire
        self.id = id
        self.group = group
        self.calls = calls
        self.patience = patience
        self.following: Sequence[tuple[Group, int]] = ()
        self.message: Message | None = None
        self.is_held: Callable[[Message], bool] | None = None
        self.pushed: float | None = None
        self.reply_to = ""
        self.sent = clock.now()
        self.log_number = 0
        self.log_replies: dict[str, int] | None = None
        self._sent_calls = len(calls)
        self._parts: dict[str, tuple[int, list[Any]]] = {}
        self._start = 0
        self._end: int | None = None

    def parts(self) -> list[Following]:
        """Return what the message says of the calls that follow."""
        return [
            Following(group.function.digest, group.function.name, group.key.is_inner, count)
            for group, count in self.following
        ]

    def groups(self, first: int, last: int) -> Iterator[tuple["Group", int, int]]:
        """Yield the groups of calls ``first`` to ``last``, each with its own first and last."""
        start, rest = 0, sum(count for _, count in self.following)
        for group, count in ((self.group, self._sent_calls - rest), *self.following):
            own_first, own_last = max(start, first), min(start + count, last)
            if own_first < own_last:
                yield group, own_first, own_last
            start += count

    def follow_with(self, calls: Sequence[Call], groups: Sequence["Group"]) -> None:
        """Add calls that follow those of the message, before it is sent.

        Args:
            calls: The calls.
            groups: The group of each.
        """
        for call in calls:
            call.batch = self
        self.calls = [*self.calls, *calls]
        self._sent_calls = len(self.calls)
        self.following = [(group, len(list(run))) for group, run in groupby(groups)]

    def is_running(self, call: Call) -> bool:
        """Tell whether a worker has the message, and all calls before this one have ended."""
        message, is_held = self.message, self.is_held
        if message is None or is_held is None or self.pushed is None:
            return False
        return next((each for each in self.calls if not each.done()), None) is call and is_held(
            message
        )

    @property
    def unfinished(self) -> list[Call]:
        # A call that has gone back to those that wait is in no message.
        return [call for call in self.calls if call.batch is self and not call.done()]

    def joined(self, reply: Reply, outcomes: list[Any]) -> list[Any] | None:
        """Join outcomes of a chunk's calls with those that the same worker sent before.

        After `keep_running`, these are the outcomes of the calls that still run. Another worker
        that gets the message begins anew. A reply may come twice: its outcomes are taken once.

        Args:
            reply: The reply that brought the outcomes.
            outcomes: Its outcomes.

        Returns:
            All outcomes so far; None if some are missing between those that came.
        """
        if not self._parts and reply.ended and self._end is None and not reply.first:
            return outcomes
        first, so_far = self._parts.setdefault(reply.worker, (reply.first, []))
        known = first + len(so_far) - reply.first
        if known < 0 or first > self._start:
            return None
        so_far.extend(outcomes[known:])
        return self._own(first, so_far)

    def outcomes_so_far(self) -> list[Any]:
        """Return the outcomes of a chunk's first calls that came before its worker was lost."""
        return max(
            (
                self._own(first, so_far)
                for first, so_far in self._parts.values()
                if first <= self._start
            ),
            key=len,
            default=[],
        )

    @property
    def chunk_size(self) -> int:
        """Number of calls that this chunk's future stands for."""
        return (self.calls[0].task.chunk if self._end is None else self._end) - self._start

    def _own(self, first: int, outcomes: list[Any]) -> list[Any]:
        return outcomes[self._start - first : None if self._end is None else self._end - first]

    def keep(self, kept: int) -> list[Call]:
        """Keep the first calls, which a worker goes on with.

        Args:
            kept: Number of these calls.

        Returns:
            The other calls, which the worker gave back.
        """
        calls = self.calls
        self.calls = calls[:kept]
        return list(calls[kept:])

    def keep_running(self, running: Call, *, done: int, kept: int) -> None:
        """Of a chunk, keep the calls that a worker still runs.

        Args:
            running: The future that stands for them from now on.
            done: Number of the first of them in the chunk.
            kept: Number of the first call behind them.
        """
        self.calls = [running]
        self._start, self._end = done, kept
        self._parts.clear()

    @property
    def is_cut(self) -> bool:
        """Whether a worker has given back a part of this chunk."""
        return self._end is not None
