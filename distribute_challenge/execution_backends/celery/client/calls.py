"""The client's books: calls that wait to be sent, and messages that wait for their reply."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from math import inf
from typing import Any, NamedTuple

from distribute_challenge.batching import BatchSizer
from distribute_challenge.execution_backends.celery.broker.publishing import Message
from distribute_challenge.futures import Future
from distribute_challenge.messages import FunctionPayload, Reply, Task
from distribute_challenge.options import CallOptions

__all__ = ["Call", "Outbox", "SentBatch"]


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


class _GroupKey(NamedTuple):
    """Calls that may share a message: same function, same options."""

    digest: str
    timeout: float | None
    retries: int
    queue: str
    priority: int
    queue_timeout: float | None
    at_most_once: bool


class Group:
    """Calls of one function with equal options, and what is known about how long they take."""

    __slots__ = ("function", "key", "options", "sizer", "waiting")

    def __init__(self, key: _GroupKey, function: FunctionPayload, options: CallOptions) -> None:
        self.key = key
        self.function = function
        self.options = options
        self.sizer = BatchSizer()
        self.waiting: deque[Call] = deque()

    def first_due(self) -> Iterator[Call]:
        """Those among which is the one that has to begin first: calls that were lost stand in front of others that have less time."""
        for call in self.waiting:
            yield call
            if not call.attempts:
                return  # Those behind it came later.

    def take(self, slots: int) -> list[Call]:
        """The calls of the next message."""
        first = self.waiting.popleft()
        calls = [first]
        if first.task.chunk or first.alone:
            return calls
        size = self.sizer.size(len(self.waiting) + 1, slots)
        while len(calls) < size and self.waiting:
            following = self.waiting[0]
            if following.task.chunk or following.alone:
                break
            calls.append(self.waiting.popleft())
        return calls


class Outbox:
    """Calls that wait to be sent, by group, in turn.

    Guarantees: none for threads; `Client` calls it under its lock.
    """

    KEPT_GROUPS = 256  # A guess: groups without calls are kept for what their sizer has learnt.

    def __init__(self) -> None:
        self._groups: dict[_GroupKey, Group] = {}
        self._turns: dict[_GroupKey, Group] = {}
        self._latest: Group | None = None

    def group_of(self, task: Task) -> Group:
        """The group that a task belongs to."""
        group = self._latest
        if group is None or group.function is not task.function or group.options is not task.options:
            # A loop that submits calls of one function comes by here once.
            group = self._latest = self._group(self._key(task), task)
        return group

    def put(self, call: Call, *, first: bool = False) -> None:
        """Add a call, at the end or in front."""
        group = self.group_of(call.task)
        if first:
            group.waiting.appendleft(call)
        else:
            group.waiting.append(call)
        self._turns[group.key] = group

    def remove(self, call: Call) -> bool:
        """Take a call out; False if it is not here."""
        group = self._turns.get(self._key(call.task))
        if group is None or call not in group.waiting:
            return False
        group.waiting.remove(call)
        return True

    def next_group(self, closed: set[tuple[str, int]]) -> Group | None:
        """The group whose turn it is: the most urgent, then the one that waits longest.

        Args:
            closed: Queues, with priority, that may get no more messages for now.
        """
        for key in sorted(self._turns, key=lambda key: -key.priority):
            group = self._turns[key]
            if not group.waiting:
                del self._turns[key]
            elif (key.queue, key.priority) not in closed:
                # To the end of the line, so that a flood of one function does not hold up another.
                self._turns[key] = self._turns.pop(key)
                return group
        return None

    def take_overdue(self, now: float) -> list[Call]:
        """Take out the calls that a worker ought to have begun by now, in seconds since the epoch."""
        taken: list[Call] = []
        for group in self._limited():
            overdue = set()
            for call in group.waiting:
                if call.begin_by <= now:
                    overdue.add(call)
                elif not call.attempts:
                    break  # Those behind it came later.
            if overdue:
                taken += [call for call in group.waiting if call in overdue]
                group.waiting = deque(call for call in group.waiting if call not in overdue)
        return taken

    def begin_by(self) -> float:
        """When a worker has to have begun the first of the calls here."""
        return min((call.begin_by for group in self._limited() for call in group.first_due()), default=inf)

    def _limited(self) -> list["Group"]:
        return [group for group in self._turns.values() if group.options.queue_timeout is not None]

    def clear(self) -> list[Call]:
        """Empty it; the calls that were waiting."""
        calls = [call for group in self._turns.values() for call in group.waiting]
        self._groups.clear()
        self._turns.clear()
        self._latest = None
        return calls

    @property
    def waiting(self) -> dict[str, int]:
        """Number of waiting calls by queue."""
        counts: dict[str, int] = {}
        for key, group in self._turns.items():
            if group.waiting:
                counts[key.queue] = counts.get(key.queue, 0) + sum(call.task.calls for call in group.waiting)
        return counts

    def _group(self, key: _GroupKey, task: Task) -> Group:
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(key, task.function, task.options)
            if len(self._groups) > self.KEPT_GROUPS:
                idle = [key for key, group in self._groups.items() if not group.waiting]
                for key in idle[: len(self._groups) - self.KEPT_GROUPS]:
                    del self._groups[key]
                self._latest = None
        return group

    @staticmethod
    def _key(task: Task) -> _GroupKey:
        options = task.options
        return _GroupKey(
            task.function.digest,
            options.timeout,
            options.retries,
            options.queue,
            options.priority,
            options.queue_timeout,
            options.at_most_once,
        )
