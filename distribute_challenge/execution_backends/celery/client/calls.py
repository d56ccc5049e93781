"""One call, and one message with calls that waits for its reply."""

import time
from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING, Any

from distribute_challenge.execution_backends.celery.broker.publishing import Message
from distribute_challenge.futures import Future
from distribute_challenge.messages import Reply, Task

if TYPE_CHECKING:
    from distribute_challenge.execution_backends.celery.client.outbox import Group

__all__ = ["Call", "SentBatch"]


class Call(Future[Any]):
    """A future, with all that the client knows about its call.

    Args:
        task: What to run.
        take_back: Gets the call back from where it waits; True from it means that it will never run. Told to ``force`` it, it stops a
            call that is cancelled already, wherever that is.

    Attributes:
        task: What to run.
        batch: The message that it was sent with, or None before that.
        losses: How many times its message vanished from Redis.
        misses: How many times a worker did not find its function, or a large value that it needs.
        alone: Whether it may only travel by itself, because a process died that ran it.
    """

    batch: "SentBatch | None" = None
    losses = 0
    misses = 0
    alone = False

    def __init__(self, task: Task, take_back: Callable[..., bool]) -> None:
        self.name = task.function.name
        self.task = task
        self._take_back = take_back

    @property
    def begin_by(self) -> float:
        """When a worker has to have begun it, in seconds since the epoch; endless without a `queue_timeout`."""
        # A call that was lost waits anew.
        since = self.attempts[-1].ended if self.attempts else self.task.created
        return since + (self.task.options.queue_timeout or inf)

    def cancel(self, force: bool = False) -> bool:
        if self.done():
            return self.cancelled()
        if force:
            # First, so that nobody sends it again.
            return self._cancel() and self._take_back(self, force=True)
        return self._take_back(self) and self._cancel()


class SentBatch:
    """A message on its way, from being sent to the last reply.

    Attributes:
        id: Id of the batch.
        calls: Its calls, in order.
        patience: Seconds that a worker may take before it gives back what it has not begun.
        message: The message itself, so that it can be found in its queue and taken back.
        pushed: When Redis had the message, in seconds of the monotonic clock; None while it is being sent.
        reply_to: The list that the replies go to.
        sent: Seconds since the epoch.
    """

    __slots__ = (
        "_end",
        "_parts",
        "_start",
        "calls",
        "group",
        "id",
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
        self.message: Message | None = None
        self.pushed: float | None = None
        self.reply_to = ""
        self.sent = time.time()
        self._parts: dict[str, tuple[int, list[Any]]] = {}
        self._start = 0
        self._end: int | None = None

    @property
    def unfinished(self) -> list[Call]:
        return [call for call in self.calls if not call.done()]

    def joined(self, reply: Reply, outcomes: list[Any]) -> list[Any] | None:
        """Outcomes of a chunk's calls, together with those that the same worker sent ahead.

        After `keep`, of the call that runs alone; another worker that the broker gave the message to begins anew. A reply may
        come twice: what it brings is taken once.

        Returns:
            None if outcomes are missing between those that came.
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
        """Outcomes of a chunk's first calls, if some came before its worker was lost."""
        return max(
            (self._own(first, so_far) for first, so_far in self._parts.values() if first <= self._start),
            key=len,
            default=[],
        )

    @property
    def chunk_size(self) -> int:
        """Number of the calls that this chunk's future stands for."""
        return (self.calls[0].task.chunk if self._end is None else self._end) - self._start

    def _own(self, first: int, outcomes: list[Any]) -> list[Any]:
        return outcomes[self._start - first : None if self._end is None else self._end - first]

    def keep(self, kept: int) -> list[Call]:
        """Keep the first calls, which a worker goes on with; the others, which it gave back.

        Args:
            kept: Their number.
        """
        calls = self.calls
        self.calls = calls[:kept]
        return list(calls[kept:])

    def keep_running(self, running: Call, *, done: int, kept: int) -> None:
        """Of a chunk, keep the calls that run.

        Args:
            running: Stands for them from now on.
            done: Number of the first.
            kept: Number of the first behind them.
        """
        self.calls = [running]
        self._start, self._end = done, kept
        self._parts.clear()

    @property
    def is_cut(self) -> bool:
        """Whether a worker has given back a part of this chunk."""
        return self._end is not None
