"""The pending calls of a client: those that wait to be sent, and messages that wait for a reply."""

import itertools
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator

from distribute_challenge.core.batching import patience, window
from distribute_challenge.core.condition import Condition
from distribute_challenge.execution_backends.celery.client.calls import Call, SentBatch
from distribute_challenge.execution_backends.celery.client.outbox import Group, Outbox

__all__ = ["PendingCalls"]


class PendingCalls(Condition):
    """The calls of one client, and the lock that protects them.

    ``with pending:`` holds the lock, and every method needs it. The client's sender thread waits on
    this condition, which is notified when there may be something new to send. The client, its
    receiver, and the code that finds lost and late calls share it.

    Args:
        client: The client's id; the ids of messages begin with it.

    Attributes:
        outbox: Calls that wait to be sent.
        sent: Messages that wait for their last reply, by id.
        is_closing: Whether the client closes, so that no further call is sent.
        returned: Calls that came back and cannot be sent by themselves (`Call.follower`); the
            sender has them wait for the calls that they need.
    """

    def __init__(self, client: str) -> None:
        super().__init__(threading.Lock())
        self.outbox = Outbox()
        self.sent: dict[str, SentBatch] = {}
        self.is_closing = False
        self.returned: list[Call] = []
        self._client = client
        self._numbers = itertools.count(1)
        # Sets of ids, not counts: an interrupted thread can repeat its change.
        self._out: defaultdict[tuple[str, int], set[str]] = defaultdict(set)

    def put(self, call: Call) -> None:
        """Add a call that is to be sent; a call that has waited for others goes first."""
        self.outbox.put(call, first=call.task.is_next)
        self.notify()

    def put_back(self, calls: Iterable[Call]) -> None:
        """Queue calls to be sent again, before all others."""
        for call in reversed(list(calls)):
            if not call.done():
                call.batch = None
                if call.follower is None:
                    self.outbox.put(call, first=True)
                else:
                    self.returned.append(call)
        self.notify()

    def next_group(self, slots: Callable[[str], int]) -> Group | None:
        """Return the next group to send from; None if no group's queue has room for a message.

        Args:
            slots: Gives the number of child processes that serve a queue.
        """
        full = {key for key, out in self._out.items() if len(out) >= window(slots(key[0]))}
        return self.outbox.next_group(full)

    def register(self, group: Group, calls: list[Call], slots: int) -> SentBatch:
        """Make a batch of calls that are about to be sent together.

        Args:
            group: The group that the calls come from.
            calls: The calls.
            slots: Number of child processes that serve the queue.
        """
        batch = SentBatch(f"{self._client}-{next(self._numbers)}", group, calls, patience(slots))
        for call in calls:
            call.batch = batch
        self._out[group.options.queue, group.options.priority].add(batch.id)
        group.out.add(batch.id)
        self.sent[batch.id] = batch
        return batch

    def drop(self, batch: SentBatch) -> None:
        """Stop waiting for a reply to a message."""
        batch.group.out.discard(batch.id)
        out = self._out[batch.group.options.queue, batch.group.options.priority]
        if batch.id in out:
            out.remove(batch.id)
            self.notify()
        self.sent.pop(batch.id, None)
        # The message may be large, and calls and batch refer to each other: a caller that keeps a
        # future must not keep the message. It goes last: where a caller is interrupted before, the
        # client still looks for the message, does not find it, and drops it once more.
        batch.message = None

    def waiting(self) -> Counter[str]:
        """Count the unfinished calls by queue."""
        waiting = Counter(self.outbox.waiting)
        for batch in self.sent.values():
            waiting[batch.group.options.queue] += sum(call.task.calls for call in batch.unfinished)
        return waiting

    def by_function(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Count the unfinished calls by name of the function and queue.

        Returns:
            Of each, the number of calls that wait to be sent, and of those that were sent.
        """
        waiting: Counter[tuple[str, str]] = Counter()
        out: Counter[tuple[str, str]] = Counter()
        for group in self.outbox.groups():
            waiting[_function_of(group)] += sum(call.task.calls for call in group)
        for batch in self.sent.values():
            for group, first, last in batch.groups(0, len(batch.calls)):
                out[_function_of(group)] += sum(
                    call.task.calls
                    for call in batch.calls[first:last]
                    if call.batch is batch and not call.done()
                )
        return {which: (waiting[which], out[which]) for which in {**waiting, **out}}

    def calls(self) -> Iterator[Call]:
        """Yield all calls that wait to be sent or for a reply; some may be done."""
        yield from self.outbox.calls()
        yield from self.returned
        for batch in self.sent.values():
            yield from batch.calls

    def clear(self) -> tuple[list[Call], list[Call]]:
        """Forget everything.

        Returns:
            The unfinished calls that were not sent, and the unfinished calls that were sent.
        """
        batches = list(self.sent.values())
        unsent, self.returned = [*self.outbox.clear(), *self.returned], []
        sent = [call for batch in batches for call in batch.unfinished]
        for batch in batches:
            self.drop(batch)
        self.notify_all()
        return unsent, sent


def _function_of(group: Group) -> tuple[str, str]:
    return group.function.name, group.options.queue
