"""All calls of a client that are not done: those that wait to be sent, and the messages that wait
for their reply.
"""

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
    """The calls of one client, and the lock that protects them: ``with pending:`` holds it, and
    every method needs it.

    The client's sender thread waits for it: it is notified when there may be something new to send.
    The client, its receiver and what looks after lost and late calls share it.

    Args:
        client: The client's id, which the ids of messages begin with.

    Attributes:
        outbox: Calls that wait to be sent.
        sent: Messages that wait for their last reply, by id.
    """

    def __init__(self, client: str) -> None:
        super().__init__(threading.Lock())
        self.outbox = Outbox()
        self.sent: dict[str, SentBatch] = {}
        self._client = client
        self._numbers = itertools.count(1)
        # Ids, not numbers: a thread that is interrupted as it changes them can do so again.
        self._out: defaultdict[tuple[str, int], set[str]] = defaultdict(set)

    def put(self, call: Call) -> None:
        """Add a call that is to be sent."""
        self.outbox.put(call)
        self.notify()

    def put_back(self, calls: Iterable[Call]) -> None:
        """Calls that are to be sent once more, before all others."""
        for call in reversed(list(calls)):
            if not call.done():
                call.batch = None
                self.outbox.put(call, first=True)
        self.notify()

    def next_group(self, slots: Callable[[str], int]) -> Group | None:
        """The group whose turn it is, if there is one and its queue has room for a message.

        Args:
            slots: Gives the number of worker processes that serve a queue.
        """
        full = {key for key, out in self._out.items() if len(out) >= window(slots(key[0]))}
        return self.outbox.next_group(full)

    def register(self, group: Group, calls: list[Call], slots: int) -> SentBatch:
        """Calls that are sent together now, to so many worker processes."""
        batch = SentBatch(f"{self._client}-{next(self._numbers)}", group, calls, patience(slots))
        for call in calls:
            call.batch = batch
        self._out[group.options.queue, group.options.priority].add(batch.id)
        self.sent[batch.id] = batch
        return batch

    def drop(self, batch: SentBatch) -> None:
        """A message that no reply is waited for any more."""
        # It may be large, and calls and batch hold each other: a caller that keeps a future keeps
        # none of it.
        batch.message = None
        self.sent.pop(batch.id, None)
        out = self._out[batch.group.options.queue, batch.group.options.priority]
        if batch.id in out:
            out.remove(batch.id)
            self.notify()

    def waiting(self) -> Counter[str]:
        """Number of unfinished calls by queue."""
        waiting = Counter(self.outbox.waiting)
        for batch in self.sent.values():
            waiting[batch.group.options.queue] += sum(call.task.calls for call in batch.unfinished)
        return waiting

    def calls(self) -> Iterator[Call]:
        """All calls that wait to be sent or for a reply; some may be done."""
        yield from self.outbox.calls()
        for batch in self.sent.values():
            yield from batch.calls

    def clear(self) -> tuple[list[Call], list[Call]]:
        """Forget everything: the unfinished calls that were not sent, and those that were."""
        batches = list(self.sent.values())
        unsent, sent = self.outbox.clear(), [call for batch in batches for call in batch.unfinished]
        for batch in batches:
            self.drop(batch)
        self.notify_all()
        return unsent, sent
