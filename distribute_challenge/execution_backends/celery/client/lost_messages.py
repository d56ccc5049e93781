"""Finds sent messages that have vanished: held by no worker, in no queue, and without a reply.

A message may vanish because a program emptied Redis, because Redis restarted without its last
second of data, or because a worker was killed after it took the message and before it wrote that
into Redis. No event tells the client, so it looks for its messages itself.

    sent `GRACE` ago ──► held by a worker? ──► in its queue? ──► nowhere
        ──► nowhere again, `APART` later ──► replies read ──► lost

The client looks twice, because a worker has a message for a moment before Redis shows that the
worker holds it. It waits until it has read all replies that were there at the second look, because
a worker sends its reply first and acknowledges the message afterwards.

To look for a message, Redis goes through its queue from the end that workers take from. So that many
clients with many messages do not keep Redis busy, a look goes through a limited number of entries,
and begins with the oldest messages of each queue. Workers take these next: if all queues are long, a
lost message is found at about the time at which a worker would have begun it.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import redis

from distribute_challenge.execution_backends.celery.broker.publishing import Message
from distribute_challenge.execution_backends.celery.client.calls import SentBatch
from distribute_challenge.execution_backends.celery.client.whereabouts import (
    are_held,
    are_nowhere,
    queue_lengths,
)

__all__ = ["LostMessages"]

GRACE = 2.0  # Seconds after sending before the client asks where a message is.
APART = 2.0  # Seconds between the two looks that a message must be missing at.
# Seconds in which workers may not yet have written into Redis what they hold: after a connection
# was lost,
AFTER_LOSS = 3.0
AFTER_FULL = 10.0  # and after Redis had no memory left.
MOST_BYTES = 2_000_000  # Bytes of messages in one look, if it is more than one message; a guess.
# Entries of queues that Redis goes through for one look of all clients together. They take it 13 to
# 70 ms, as measured by ``python -m benchmarks.growth``.
MOST_ENTRIES = 500_000

_Sent = tuple[SentBatch, Message]


@dataclass(slots=True)
class _Missing:
    """A message that was in no queue and held by no worker when `LostMessages` looked.

    Attributes:
        since: When that was seen first, in seconds of the monotonic clock.
        known_at: How many replies the client must have read before it knows that none answers this
            message; None: not known yet.
    """

    since: float
    known_at: int | None = None


class LostMessages:
    """Finds the lost messages of one client; its heartbeat calls `find`.

    Args:
        replies: Key of the client's reply list.

    Attributes:
        read: How many replies have been read from that list; the receiver counts them.

    Guarantees: not safe for threads; the receiver thread reads the replies and calls `find`.
    """

    def __init__(self, replies: str) -> None:
        self.read = 0
        self._replies = replies
        self._missing: dict[str, _Missing] = {}
        self._entries = 0.0  # Those that may be gone through, as earlier looks left them over.
        self._quiet_until = 0.0

    def distrust(self, until: float) -> None:
        """Find nothing for a while, as workers may not have written into Redis what they hold.

        Messages that were missing before do not count.

        Args:
            until: Until when, in seconds of the monotonic clock.
        """
        self._missing.clear()
        self._quiet_until = max(self._quiet_until, until)

    def find(
        self,
        connection: redis.Redis,
        batches: Iterable[SentBatch],
        direct: Collection[str],
        now: float,
    ) -> list[SentBatch]:
        """Return the messages that are lost.

        Args:
            connection: To the broker.
            batches: The messages that wait for a reply.
            direct: Keys of reply lists besides the client's own that its receiver reads.
            now: Seconds of the monotonic clock.

        Raises:
            redis.RedisError: The broker does not answer.
        """
        if now < self._quiet_until:
            return []
        out: list[_Sent] = []
        for batch in batches:
            message, pushed = batch.message, batch.pushed
            # A caller that waits at a connection of its own may have read the reply already.
            is_ours = batch.reply_to == self._replies or batch.reply_to in direct
            if message is not None and pushed is not None and now - pushed > GRACE and is_ours:
                out.append((batch, message))
        held = are_held(connection, [message for _, message in out]) if out else []
        doubtful = [pair for pair, is_held in zip(out, held, strict=True) if not is_held]
        ids = {batch.id for batch, _ in doubtful}
        self._missing = {name: missing for name, missing in self._missing.items() if name in ids}
        if not doubtful:
            return []
        keys = {message.key for _, message in doubtful}
        chosen = self._next(doubtful, queue_lengths(connection, keys), now)
        if not chosen:
            return []
        lists = [
            self._replies,
            *{batch.reply_to for batch, _ in chosen if batch.reply_to != self._replies},
        ]
        try:
            nowhere, lengths = are_nowhere(connection, [message for _, message in chosen], lists)
        except redis.OutOfMemoryError:
            self.distrust(now + AFTER_FULL)  # Workers cannot write what they hold, either.
            return []
        waiting = dict(zip(lists, lengths, strict=True))
        lost = []
        for (batch, _), is_nowhere in zip(chosen, nowhere, strict=True):
            if not is_nowhere:
                self._missing.pop(batch.id, None)
            elif self._is_lost(batch, waiting, now):
                lost.append(batch)
        return lost

    def _next(self, doubtful: list[_Sent], lengths: Mapping[str, int], now: float) -> list[_Sent]:
        """Choose the messages to look for, up to `MOST_BYTES` and this client's share of entries."""
        share = min(1.0, len(doubtful) / max(1, sum(lengths.values())))
        # What is left over counts later, so that the longest queue is gone through now and then.
        left = min(self._entries, max(lengths.values())) + share * MOST_ENTRIES
        chosen: list[_Sent] = []
        size = 0
        for entries, pair in self._in_order(doubtful, lengths, now):
            size += len(pair[1].data)
            if entries > left or (chosen and size > MOST_BYTES):
                break
            left -= entries
            chosen.append(pair)
        self._entries = left
        return chosen

    def _in_order(
        self, doubtful: list[_Sent], lengths: Mapping[str, int], now: float
    ) -> Iterator[tuple[float, _Sent]]:
        """Yield messages with the entries that Redis is expected to go through for each.

        First come those that were missing `APART` ago, and then the oldest of each queue.
        """
        there: list[_Sent] = []
        for pair in doubtful:
            missing = self._missing.get(pair[0].id)
            if missing is None:
                there.append(pair)
            elif now - missing.since >= APART:
                yield lengths[pair[1].key], pair
        there.sort(key=lambda pair: pair[0].pushed or 0.0)
        seen: Counter[str] = Counter()
        ranked = []
        for pair in there:
            seen[pair[1].key] += 1
            ranked.append((seen[pair[1].key], pair))
        ranked.sort(key=lambda entry: entry[0])
        for rank, pair in ranked:
            # The messages of this client are spread evenly over the queue, as far as it knows.
            yield rank * lengths[pair[1].key] / seen[pair[1].key], pair

    def _is_lost(self, batch: SentBatch, waiting: dict[str, int], now: float) -> bool:
        missing = self._missing.setdefault(batch.id, _Missing(now))
        if now - missing.since < APART:
            return False
        if batch.reply_to != self._replies:
            return not waiting[batch.reply_to]
        if missing.known_at is None:
            missing.known_at = self.read + waiting[self._replies]
        return self.read >= missing.known_at
