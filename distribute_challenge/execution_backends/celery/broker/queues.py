"""Queues of items in Redis, and the steps of an item from its producer to its end.

    producer ─ put ──────► a block of items, and an entry for them in the queue
    consumer ─ take ─────► the entry, or a part of it, is this holder's
             ─ done ─────► the items are gone, and so is their block with its last one
             ─ fail ─────► the item is a dead letter
             ─ give_back ► the entry is at the front of the queue again
             ─ renew ────► the holder lives; if it does not renew for a lease, the next `take` by
                           any process puts back what it holds: to the front of the queue, or to
                           the dead letters, if holders of it were lost too often

Each step is one script (`queue_scripts`). What lies in a queue is not signed, except for the blocks
themselves: their readers check the seal, and that an entry fits its block.
"""

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from typing import Any, Final, Literal, NamedTuple

import redis

from distribute_challenge.execution_backends.celery.broker import queue_scripts as scripts
from distribute_challenge.execution_backends.celery.broker import (
    queue_state_scripts as state_scripts,
)
from distribute_challenge.execution_backends.celery.broker.connection import Broker
from distribute_challenge.execution_backends.celery.broker.keys import (
    QUEUE_EXPIRY,
    QUEUES,
    queue_key,
)
from distribute_challenge.execution_backends.celery.broker.queue_script_parts import PARTS
from distribute_challenge.execution_backends.item_queue import QueueState, queue_name

__all__ = ["Entry", "QueueGoneError", "QueueRecord", "Taken", "Token", "queue_names"]

Token = Literal["ready", "room", "idle"]

MOST: Final = 10**9  # Items of one entry; no block has as many.

_WHOLE: Final = re.compile(rb"-?\d{1,15}")
_ENTRY: Final = re.compile(rb"([0-9a-f]+) (\d{1,15}) (\d{1,15}) (\d{1,15})")


class QueueGoneError(Exception):
    """A queue is not in Redis: it was deleted, its client is gone, or Redis was emptied."""


class Entry(NamedTuple):
    """Consecutive items of one block that a holder has taken.

    Args:
        delivery: Name by which the holder acknowledges them.
        block: Id of the block.
        start: Number of the first item in the block.
        stop: Number behind the last one.
        losses: How often a process that had taken them was lost.
        sealed: The block; empty if the holder said that it knows it.
    """

    delivery: str
    block: str
    start: int
    stop: int
    losses: int
    sealed: bytes


class Taken(NamedTuple):
    """What `QueueRecord.take` found.

    Args:
        entries: What was taken, the first item of the queue first.
        is_shut: Whether nothing was taken because the queue is shut down and empty.
        until_lost: If nothing was taken: in how many seconds a lease may be over; None if there is
            none.
    """

    entries: Sequence[Entry]
    is_shut: bool = False
    until_lost: float | None = None


class QueueRecord:
    """One queue of items in Redis; every process that uses it has a record of its own.

    Guarantees: safe for threads. Every method raises `redis.RedisError` if the broker does not
    answer, or refuses; and `QueueGoneError` if the queue is not there. `put`, `take` and `done` may
    be repeated with the same names after an error, without a second effect.

    Args:
        connection: The connection to the broker. Its timeout for answers is longer than any wait.
        id: The queue's id.
    """

    def __init__(self, connection: Broker, id: str) -> None:  # noqa: A002
        self.connection = connection
        self.id = id
        self._keys = [queue_key(part, id) for part in PARTS]

    def open(self, maxsize: int, lease: float, attempts: int, expiry: int) -> tuple[int, float]:
        """Make the queue, unless it is there.

        Args:
            maxsize: Most items that wait; 0: no limit. It has no effect on a queue that has a limit.
            lease: Seconds without a sign of life after which a holder is lost.
            attempts: How often the holder of an item is lost until it is a dead letter.
            expiry: Seconds that it stays without a sign of life of its client; 0: for good.

        Returns:
            The queue's own limit and lease.
        """
        found = self._run(state_scripts.OPEN, maxsize, lease, attempts, expiry)
        return int(float(found[0])), float(found[1])

    def put(
        self, block: str, first: int, count: int, sealed: bytes, keys: Sequence[str]
    ) -> int | None:
        """Put items of a block at the end of the queue, as far as there is room.

        Args:
            block: A new id, of hexadecimal digits.
            first: Number of the first item that is put.
            count: How many items there are from this one on.
            sealed: The block.
            keys: Keys that hold its item, if it is large. They stay until it is done.

        Returns:
            How many of them were put; None if the queue is shut down.
        """
        state, *rest = self._existing(scripts.PUT, block, first, count, sealed, " ".join(keys))
        return None if state == b"shut" else int(rest[0])

    def take(
        self,
        holder: str,
        delivery: str,
        most: int,
        known: Sequence[str] = (),
        *,
        longest: int = MOST,
        once: bool = False,
    ) -> Taken:
        """Take the first items of the queue.

        Args:
            holder: Id of the process that holds them from then on.
            delivery: A new name, with which the names of the deliveries begin.
            most: How many items to take at most.
            known: Ids of blocks that the caller still has.
            longest: How many items each entry has at most.
            once: Whether they are never delivered again: they are done, or become dead letters.
        """
        state, *rest = self._existing(
            scripts.TAKE, holder, delivery, most, longest, int(once), *known
        )
        if state == b"shut":
            return Taken((), is_shut=True)
        if state == b"empty":
            return Taken((), until_lost=float(rest[0]) if rest[0] else None)
        return Taken(_entries(rest))

    def done(self, holder: str, items: Sequence[tuple[str, int]]) -> int:
        """Record that items are done.

        Args:
            holder: Id of the process that has taken them.
            items: Names of deliveries, and for each the number in its block behind the last item
                that is done.

        Returns:
            How many of the deliveries are not held any more: they were lost, or are done.
        """
        flat = [part for pair in items for part in pair]
        return int(self._existing(scripts.DONE, holder, *flat)[1])

    def fail(self, holder: str, delivery: str, number: int, error: str) -> int:
        """Make an item a dead letter. Those before it in its delivery have to be done.

        Args:
            holder: Id of the process that has taken it.
            delivery: Name of its delivery.
            number: Its number in its block.
            error: Why.

        Returns:
            How many deliveries are not held any more: 1 if it was lost, otherwise 0.
        """
        return int(self._existing(scripts.FAIL, holder, delivery, number, error)[1])

    def give_back(self, holder: str, delivery: str, first: int = 0, number: int = 0) -> None:
        """Put items back to the front of the queue.

        Args:
            holder: Id of the process that has taken them.
            delivery: The name that `take` was given.
            first: Number of the first entry of that delivery from which items are put back.
            number: Number in its block of the first item of this entry that is put back.
        """
        self._existing(scripts.GIVE_BACK, holder, delivery, first, number)

    def dead(self, most: int) -> list[Entry]:
        """Return entries of the dead letters, the oldest first, without taking them.

        In the place of the name of its delivery, an entry has the error of its call; it is empty if
        its processes were lost.

        Args:
            most: How many at most.
        """
        return _entries(self._existing(state_scripts.DEAD, most)[1:])

    def requeue(self) -> int | None:
        """Put the dead letters at the end of the queue.

        Returns:
            How many items there were; None if the queue is shut down.
        """
        state, *rest = self._existing(state_scripts.REQUEUE)
        return None if state == b"shut" else int(rest[0])

    def renew(self, holder: str) -> None:
        """Show that a holder lives, and prolong a queue that ends with its client."""
        self._existing(scripts.RENEW, holder)

    def leave(self, holder: str) -> None:
        """Put back all that a holder has taken and not done, as it ends."""
        self._existing(scripts.LEAVE, holder)

    def resize(self, maxsize: int) -> None:
        """Change the number of items that may wait."""
        self._existing(state_scripts.RESIZE, maxsize)

    def shut_down(self, *, immediate: bool) -> None:
        """Refuse more items; with ``immediate`` also drop those that wait."""
        self._existing(state_scripts.SHUT_DOWN, "1" if immediate else "")

    def delete(self) -> None:
        """Remove the queue with all its items; it need not be there."""
        self._run(state_scripts.DELETE)

    def signal(self) -> None:
        """Put back a token that `wait` has taken, if it still holds."""
        self._existing(state_scripts.SIGNAL)

    def wait(self, token: Token, within: float, consumers: str = "") -> bool:
        """Wait until there is an item, room, or no unfinished item; False if there is none in time.

        It takes the token: call `signal`, or a step that changes the queue, after it.

        Args:
            token: Which of these.
            within: Seconds, more than 0 and less than the connection has for an answer.
            consumers: Id of the consumers that wait; it also ends when these are stopped.
        """
        keys = [queue_key(token, self.id)]
        if consumers:
            keys.append(self._stopped(consumers))
        # redis-py's stub says that it may be awaitable.
        found: Any = self.connection.blpop(keys, timeout=within)
        return found is not None and found[0] == keys[0].encode()

    def stop(self, consumers: str, count: int) -> None:
        """Tell consumers to end, and wake those that wait.

        Args:
            consumers: Their id.
            count: How many there are.
        """
        key = self._stopped(consumers)
        # One more than there are, so that those which do not wait find the list.
        self.connection.rpush(key, *[""] * (count + 1))
        self.connection.expire(key, QUEUE_EXPIRY)

    def is_stopped(self, consumers: str) -> bool:
        """Whether consumers were told to end, not long ago."""
        return bool(self.connection.exists(self._stopped(consumers)))

    def _stopped(self, consumers: str) -> str:
        return queue_key(f"stopped:{consumers}", self.id)

    def state(self) -> QueueState | None:
        """Return the state of the queue; None if it is not there."""
        # redis-py's stub says that it may be awaitable.
        found: Any = self.connection.hmget(
            self._keys[0], ["maxsize", "size", "unfinished", "dead", "shutdown"]
        )
        maxsize, size, unfinished, dead, shutdown = found
        if maxsize is None:
            return None
        return QueueState(
            _number(maxsize), _number(size), _number(unfinished), _number(dead), bool(shutdown)
        )

    def _existing(self, script: str, *arguments: Any) -> Any:
        answer = self._run(script, *arguments)
        if answer[0] == b"gone":
            raise QueueGoneError
        return answer

    def _run(self, script: str, *arguments: Any) -> Any:
        try:
            # By its digest: to send the script takes longer than to run it.
            return self.connection.evalsha(
                _digest(script), len(self._keys), *self._keys, self.id, *arguments
            )
        except redis.exceptions.NoScriptError:
            return self.connection.run(script, self._keys, self.id, *arguments)
        except redis.ResponseError as error:
            # Redis 6 reports a lack of memory as an error of the script.
            raise redis.OutOfMemoryError(str(error)) if "OOM" in str(error) else error from None


def _entries(rows: Sequence[bytes]) -> list[Entry]:
    entries = []
    for name, entry, sealed in zip(rows[::3], rows[1::3], rows[2::3], strict=True):
        match = _ENTRY.fullmatch(entry)
        assert match is not None  # The script has looked at it.
        block, *numbers = match.groups()
        start, stop, losses = map(int, numbers)
        entries.append(
            Entry(name.decode(errors="replace"), block.decode(), start, stop, losses, sealed)
        )
    return entries


def _number(field: bytes | None) -> int:
    """Return a number of the state; 0 if there is something else, which no client has written."""
    return int(field) if field is not None and _WHOLE.fullmatch(field) else 0


@cache
def _digest(script: str) -> str:
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()


def queue_names(connection: Broker) -> list[str]:
    """Return the names of all named queues."""
    ids: Any = connection.smembers(QUEUES)  # redis-py's stub says that it may be awaitable.
    names = [queue_name(id.decode(errors="replace")) for id in ids]  # noqa: A001
    return sorted(name for name in names if name is not None)
