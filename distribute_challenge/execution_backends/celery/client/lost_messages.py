"""Finds messages that have vanished: out for a while, held by no worker, in no queue, and without a
reply on its way.

A message may vanish because a program emptied Redis, because Redis came back without its last
second, or because a worker was killed between taking the message and writing down that it has it.
No event tells the client, so it looks itself.

    out for `GRACE` ──► held by a worker? ──► in its queue? ──► nowhere ──► nowhere again, `APART` later ──► replies read ──► lost

Twice, because a worker has a message for a moment before Redis knows that it holds it. And only
once all replies have been read that were there at the second look: a worker sends its reply first,
and acknowledges the message afterwards.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import redis

from distribute_challenge.execution_backends.celery.broker.publishing import Message
from distribute_challenge.execution_backends.celery.client.calls import SentBatch
from distribute_challenge.execution_backends.celery.client.whereabouts import are_held, are_nowhere

__all__ = ["LostMessages"]

GRACE = 2.0  # Seconds that a message is out before the client asks where it is.
APART = 2.0  # Seconds between two looks that are to count as two.
# Seconds after a connection was lost in which workers may not have written down yet what they hold,
AFTER_LOSS = 3.0
AFTER_FULL = 10.0  # and after Redis refused to write anything down.
MOST_BYTES = 2_000_000  # Bytes of messages in one look, if it is more than one message; a guess.


@dataclass(slots=True)
class _Missing:
    """What is known of a message that was nowhere.

    Attributes:
        since: When that was seen first, in seconds of the monotonic clock.
        known_at: How many replies must have been read before its absence means that there is none
            for it; None: not known yet.
    """

    since: float
    known_at: int | None = None


class LostMessages:
    """Finds those of one client; its heartbeat calls `find`.

    Args:
        replies: The client's list of replies.

    Attributes:
        read: How many replies have been read from that list; the receiver counts them.

    Guarantees: none for threads; the thread that reads the replies is the one that looks.
    """

    def __init__(self, replies: str) -> None:
        self.read = 0
        self._replies = replies
        self._missing: dict[str, _Missing] = {}
        self._looked: dict[str, float] = {}
        self._quiet_until = 0.0

    def distrust(self, until: float) -> None:
        """What workers have written down may be incomplete for a while: what was missing does not
        count.

        Args:
            until: Seconds of the monotonic clock.
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
        """The messages that are lost.

        Args:
            connection: To the broker.
            batches: What is out.
            direct: Lists of replies besides the client's own that its receiver reads.
            now: Seconds of the monotonic clock.

        Raises:
            redis.RedisError: The broker does not answer.
        """
        if now < self._quiet_until:
            return []
        out: list[tuple[SentBatch, Message]] = []
        for batch in batches:
            message, pushed = batch.message, batch.pushed
            # A caller that waits at a line of its own may have read the reply already.
            is_ours = batch.reply_to == self._replies or batch.reply_to in direct
            if message is not None and pushed is not None and now - pushed > GRACE and is_ours:
                out.append((batch, message))
        held = are_held(connection, [message for _, message in out]) if out else []
        doubtful = [pair for pair, is_held in zip(out, held, strict=True) if not is_held]
        ids = {batch.id for batch, _ in doubtful}
        self._missing = {name: missing for name, missing in self._missing.items() if name in ids}
        self._looked = {name: looked for name, looked in self._looked.items() if name in ids}
        chosen = self._next(doubtful)
        if not chosen:
            return []
        lists = [
            self._replies,
            *{batch.reply_to for batch, _ in chosen if batch.reply_to != self._replies},
        ]
        try:
            nowhere, lengths = are_nowhere(connection, [message for _, message in chosen], lists)
        except redis.OutOfMemoryError:
            self.distrust(now + AFTER_FULL)  # Workers cannot write down either what they hold.
            return []
        waiting = dict(zip(lists, lengths, strict=True))
        lost = []
        for (batch, _), is_nowhere in zip(chosen, nowhere, strict=True):
            self._looked[batch.id] = now
            if not is_nowhere:
                self._missing.pop(batch.id, None)
            elif self._is_lost(batch, waiting, now):
                lost.append(batch)
        return lost

    def _next(self, doubtful: list[tuple[SentBatch, Message]]) -> list[tuple[SentBatch, Message]]:
        """Those whose turn it is, as many as may travel in one look."""
        chosen: list[tuple[SentBatch, Message]] = []
        size = 0
        for pair in sorted(doubtful, key=lambda pair: self._looked.get(pair[0].id, 0.0)):
            size += len(pair[1].data)
            if chosen and size > MOST_BYTES:
                break
            chosen.append(pair)
        return chosen

    def _is_lost(self, batch: SentBatch, waiting: dict[str, int], now: float) -> bool:
        missing = self._missing.setdefault(batch.id, _Missing(now))
        if now - missing.since < APART:
            return False
        if batch.reply_to != self._replies:
            return not waiting[batch.reply_to]
        if missing.known_at is None:
            missing.known_at = self.read + waiting[self._replies]
        return self.read >= missing.known_at
