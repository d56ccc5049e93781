"""Finds calls that can go to a worker in the same message as the calls whose results they need.

    message: load ── count ── total          one trip to a worker in the place of three
                └─── sizes ───┘

The sender asks before it sends a message. A call joins the message if all that it needs has ended or
is in the message, its options are those of the other calls, and there is `Room`. It goes back to
those that wait if the message ends without its outcome (`PendingCalls.returned`).
"""

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass

from distribute_challenge.core.batching import Room
from distribute_challenge.core.following import Follower
from distribute_challenge.core.futures import Future
from distribute_challenge.core.messages import Task
from distribute_challenge.execution_backends.celery.client.calls import Call, SentBatch
from distribute_challenge.execution_backends.celery.client.outbox import Group
from distribute_challenge.execution_backends.celery.client.pending import PendingCalls

__all__ = ["Strands"]


@dataclass(eq=False, repr=False, kw_only=True)
class Strands:
    """Adds calls that follow to the messages of one client; its sender thread uses it.

    Args:
        pending: The client's calls.
        sender: The client, as engines name it (`ExecutionBackend.sender`).
        new_call: Makes a future for a task.
    """

    pending: PendingCalls
    sender: object
    new_call: Callable[[Task], Call]

    def extend(self, batch: SentBatch, slots: int) -> None:
        """Add calls to a message that has not been sent.

        Args:
            batch: The message.
            slots: Number of child processes that serve its queue.
        """
        if not _may_lead(batch):
            return
        calls, groups = self._found(batch, slots)
        if not calls:
            return
        with self.pending:
            if batch.id in self.pending.sent:
                batch.follow_with(calls, groups)
            else:
                self.pending.returned += calls  # The client has given up.

    def give_back(self) -> None:
        """Let the calls that have come back wait again."""
        with self.pending:
            calls, self.pending.returned = self.pending.returned, []
        for call in calls:
            assert call.follower is not None  # Other calls are sent again.
            call.follower.give_back(call, call.attempts)

    def _found(self, batch: SentBatch, slots: int) -> tuple[list[Call], list[Group]]:
        calls: list[Call] = []
        groups: list[Group] = []
        room: Room | None = None
        may_join: dict[Group, bool] = {}  # As most calls of a message are of few functions.
        numbers: dict[int, int] = {}
        there: defaultdict[Follower, int] = defaultdict(int)
        ending: deque[tuple[Future, int]] = deque(  # type: ignore[type-arg] # of any value
            (call, number) for number, call in enumerate(batch.calls)
        )
        while ending:
            future, number = ending.popleft()
            numbers[id(future)] = number
            is_engines = isinstance(future, Call)
            for follower in future.listeners():
                if not isinstance(follower, Follower):
                    continue
                if is_engines and follower.stands_for(future):
                    ending.append((follower, number))  # type: ignore[arg-type] # a future, too
                    continue
                there[follower] += 1
                if there[follower] < follower.missing:
                    continue
                if room is None:
                    size = sum(len(call.task.arguments) for call in batch.calls)
                    room = Room(slots, batch.group.sizer, len(batch.calls), size)
                added = self._added(follower, batch, room, may_join, numbers)
                if added is not None:
                    ending.append((follower, len(batch.calls) + len(calls)))  # type: ignore[arg-type]
                    calls.append(added[0])
                    groups.append(added[1])
        return calls, groups

    def _added(
        self,
        follower: Follower,
        batch: SentBatch,
        room: Room,
        may_join: dict[Group, bool],
        numbers: dict[int, int],
    ) -> tuple[Call, Group] | None:
        task = follower.task_to_follow(self.sender)
        if task is None or task.chunk or task.attempts:
            return None
        with self.pending:
            group = self.pending.outbox.group_of(task)
        if group not in may_join:
            may_join[group] = group.follows and _has_options_of(batch.group, group)
        if not may_join[group] or not room.take(group.sizer, len(task.arguments)):
            return None
        ready = follower.follow(numbers)
        if ready is None:
            return None
        call = self.new_call(ready)
        call.follower = follower
        follower.sent(call)
        return call, group


def _may_lead(batch: SentBatch) -> bool:
    """Whether other calls may follow those of a message."""
    options, first = batch.group.options, batch.calls[0]
    return not (
        options.at_most_once
        or options.queue_timeout is not None
        or first.task.chunk
        or first.alone
        or first.attempts
    )


def _has_options_of(one: Group, other: Group) -> bool:
    """Whether the options of two groups allow calls of both in a message."""
    # The digest and `is_inner` stand in the message for each call.
    key = one.key
    return other.key._replace(digest=key.digest, is_inner=key.is_inner) == key
