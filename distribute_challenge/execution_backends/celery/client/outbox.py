"""Calls that wait to be sent, in groups that may share a message."""

from collections import OrderedDict, deque
from collections.abc import Iterator
from math import inf
from typing import NamedTuple

from distribute_challenge.core import clock
from distribute_challenge.core.batching import FEW, HOLD, LARGEST_BYTES, BatchSizer
from distribute_challenge.core.messages import FunctionPayload, Task
from distribute_challenge.core.options import CallOptions
from distribute_challenge.execution_backends.celery.client.calls import Call

__all__ = ["Group", "Outbox"]


class _GroupKey(NamedTuple):
    """The function and the options that calls must have in common to share a message."""

    digest: str
    timeout: float | None
    retries: int
    queue: str
    priority: int
    queue_timeout: float | None
    at_most_once: bool
    is_inner: bool


class Group:
    """Calls of one function with equal options, and a `BatchSizer` that knows how long they take.

    A program may cancel thousands of calls, the last ones first. `remove` only clears the mark
    `Call.is_waiting`, without a search. The call leaves the deque when the next message is made, or
    when more than half of the places are empty.

    Args:
        key: What its calls have in common.
        function: Their function.
        options: Their options.

    Attributes:
        sizer: Chooses how many calls to send together.
        follows: Whether its calls may follow others in a message. False once a worker could not
            give one the results that it needs.
        out: Ids of its messages that wait for a reply.
    """

    __slots__ = (
        "_calls",
        "_empty",
        "_taken",
        "follows",
        "function",
        "key",
        "options",
        "out",
        "sizer",
    )

    def __init__(self, key: _GroupKey, function: FunctionPayload, options: CallOptions) -> None:
        self.key = key
        self.function = function
        self.options = options
        self.sizer = BatchSizer()
        self.follows = True
        self.out: set[str] = set()
        self._calls: deque[Call] = deque()
        self._empty = 0
        self._taken = -HOLD

    def __len__(self) -> int:
        return len(self._calls) - self._empty

    def __iter__(self) -> Iterator[Call]:
        return (call for call in self._calls if call.is_waiting)

    def put(self, call: Call, *, first: bool) -> None:
        """Add a call.

        Args:
            call: The call.
            first: Add it at the front, not at the end.
        """
        call.is_waiting = True
        if first:
            self._calls.appendleft(call)
        else:
            self._calls.append(call)

    def remove(self, call: Call) -> bool:
        """Take a call out; False if it does not wait."""
        if not call.is_waiting:
            return False
        call.is_waiting = False
        self._empty += 1
        if 2 * self._empty > len(self._calls):
            self._close_up()
        return True

    def first_due(self) -> Iterator[Call]:
        """Yield the calls that may have the earliest `begin_by`.

        Calls that were lost are at the front, though calls behind them may have less time left.
        """
        for call in self:
            yield call
            if not call.attempts:
                return  # The calls behind it were made later.

    def is_held(self) -> bool:
        """Whether its calls wait for others, with which they could share a message.

        They are short, `FEW` messages with such calls are out, and the last one was made a moment
        ago.
        """
        if len(self.out) < FEW:
            return False
        first = next(iter(self))
        return not (
            first.task.chunk
            or first.alone
            or self.sizer.is_worth_a_batch(len(self))
            or clock.monotonic() - self._taken >= HOLD
        )

    def take(self, slots: int) -> list[Call]:
        """Take the calls of the next message.

        Args:
            slots: Number of child processes that serve the queue.
        """
        if self._empty:
            self._close_up()
        self._taken = clock.monotonic()
        waiting = self._calls
        first = waiting.popleft()
        first.is_waiting = False
        calls = [first]
        if first.task.chunk or first.alone:
            return calls
        size = self.sizer.size(len(waiting) + 1, slots)
        room = LARGEST_BYTES - len(first.task.arguments)
        while len(calls) < size and waiting:
            following = waiting[0]
            room -= len(following.task.arguments)
            if room < 0 or following.task.chunk or following.alone:
                break
            following.is_waiting = False
            calls.append(waiting.popleft())
        return calls

    def _close_up(self) -> None:
        self._calls = deque(self)
        self._empty = 0


_Latest = tuple[FunctionPayload | None, CallOptions | None, bool, Group | None]
_NO_LATEST: _Latest = (None, None, False, None)


class Outbox:
    """The calls of one client that wait to be sent, in groups that take turns.

    Attributes:
        holds: Whether calls wait for others, as `next_group` has found.

    Guarantees: not safe for threads; `PendingCalls` and `Client` call it under the lock of the
    pending calls.
    """

    # Groups without calls are kept, and what they have learnt is kept for longer: the payload of a
    # function has the modules of the user's project with it. All three are guesses.
    KEPT_GROUPS = 256
    KEPT_BYTES = 16 << 20
    KEPT_LEARNT = 256

    def __init__(self) -> None:
        self.holds = False
        self._groups: dict[_GroupKey, Group] = {}
        self._learnt: dict[_GroupKey, tuple[BatchSizer, bool]] = {}
        self._turns: OrderedDict[_GroupKey, Group] = OrderedDict()
        # What the latest task had, which may be equal to what its group has, but another object.
        self._latest: _Latest = _NO_LATEST

    def group_of(self, task: Task) -> Group:
        """Return the group that a task belongs to."""
        function, options, is_inner, group = self._latest
        if (
            group is None
            or function is not task.function
            or options is not task.options
            or is_inner is not task.is_inner
        ):
            # A loop that submits calls of one function gets here only once.
            group = self._group(self._key(task), task)
            self._latest = task.function, task.options, task.is_inner, group
        return group

    def put(self, call: Call, *, first: bool = False) -> None:
        """Add a call to its group.

        Args:
            call: The call.
            first: Add it at the front of its group, not at the end, and give the group the next
                turn.
        """
        group = self.group_of(call.task)
        group.put(call, first=first)
        self._turns[group.key] = group
        if first:
            self._turns.move_to_end(group.key, last=False)

    def remove(self, call: Call) -> bool:
        """Take a call out; False if it is not here."""
        group = self._turns.get(self._key(call.task))
        return group is not None and group.remove(call)

    def next_group(self, closed: set[tuple[str, int]]) -> Group | None:
        """Return the group with the highest priority, and of these the one that waits longest.

        Args:
            closed: Queues, with priority, that may get no more messages for now.

        Returns:
            The group; None if no group may send.
        """
        self.holds = False
        for key in sorted(self._turns, key=lambda key: -key.priority):
            group = self._turns[key]
            if not group:
                del self._turns[key]
            elif (key.queue, key.priority) in closed:
                continue
            elif group.is_held():
                self.holds = True
            else:
                # To the end, so that many calls of one function do not hold up another.
                self._turns.move_to_end(key)
                return group
        return None

    def take_overdue(self, now: float) -> list[Call]:
        """Take out the calls that a worker should have begun by now.

        Args:
            now: Seconds since the epoch.
        """
        taken: list[Call] = []
        for group in self._limited():
            overdue = []
            for call in group:
                if call.begin_by <= now:
                    overdue.append(call)
                elif not call.attempts:
                    break  # The calls behind it were made later.
            for call in overdue:
                group.remove(call)
            taken += overdue
        return taken

    def begin_by(self) -> float:
        """Return the earliest `begin_by` of the calls here, in seconds since the epoch."""
        return min(
            (call.begin_by for group in self._limited() for call in group.first_due()), default=inf
        )

    def _limited(self) -> list["Group"]:
        return [group for group in self._turns.values() if group.options.queue_timeout is not None]

    def calls(self) -> Iterator[Call]:
        """Yield all calls that wait."""
        for group in self._turns.values():
            yield from group

    def clear(self) -> list[Call]:
        """Remove all calls, and return them."""
        calls = list(self.calls())
        self._groups.clear()
        self._turns.clear()
        self._latest = _NO_LATEST
        return calls

    @property
    def waiting(self) -> dict[str, int]:
        """Number of waiting calls by queue."""
        counts: dict[str, int] = {}
        for key, group in self._turns.items():
            if group:
                counts[key.queue] = counts.get(key.queue, 0) + sum(
                    call.task.calls for call in group
                )
        return counts

    def groups(self) -> Iterator[Group]:
        """Yield the groups that have calls."""
        return (group for group in self._turns.values() if group)

    def _group(self, key: _GroupKey, task: Task) -> Group:
        group = self._groups.get(key)
        if group is None:
            self._make_room(len(task.function.payload))
            group = self._groups[key] = Group(key, task.function, task.options)
            if key in self._learnt:
                group.sizer, group.follows = self._learnt.pop(key)
        return group

    def _make_room(self, size: int) -> None:
        """Drop the oldest groups without calls, as far as a new one needs their place."""
        kept = self._groups
        size += sum(len(group.function.payload) for group in kept.values())
        for key, group in list(kept.items()):
            if len(kept) < self.KEPT_GROUPS and size <= self.KEPT_BYTES:
                return
            if not group:
                size -= len(group.function.payload)
                del kept[key]
                self._learnt[key] = group.sizer, group.follows
                if len(self._learnt) > self.KEPT_LEARNT:
                    del self._learnt[next(iter(self._learnt))]

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
            task.is_inner,
        )
