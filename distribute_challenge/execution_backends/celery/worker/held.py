"""The book of what this worker process holds: one for the process, whatever becomes of its connections.

A message that a worker takes stands in Redis until it is done, with the worker's name and with the time of its last renewal. kombu
keeps that book for each channel, and a channel ends with its connection: it then gives back what is still running, so that it
runs twice, or knows nothing of it any more, so that nobody renews it. Here the process keeps it, over one line of its own:

- Nothing that runs is given back when the connection is lost. It goes on being renewed over the next one.
- What is written is read back later, with the next command, so taking a message and striking it out wait for nobody. What may not
  have arrived, as Redis was full or away, is written again at the next renewal.
- Every entry begins with the name of its holder, and is struck out only by that one: a worker that was frozen until its lease was over
  does no harm to who has the message now.
- What goes back into its queue goes back byte for byte, in one step with the striking out.
"""

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterable
from typing import Any, Final

from redis import RedisError

from distribute_challenge.execution_backends.celery.broker.line import Line
from distribute_challenge.log import logger

__all__ = ["Envelope", "Held", "holder_of", "put_back_command", "strike_command"]

Command = tuple[str | bytes | float, ...]

# Both: KEYS book, index; ARGV tag, how its entry begins.
_STRIKE: Final = """
local entry = redis.call('HGET', KEYS[1], ARGV[1])
if entry and string.sub(entry, 1, #ARGV[2]) == ARGV[2] then
    redis.call('HDEL', KEYS[1], ARGV[1])
    redis.call('ZREM', KEYS[2], ARGV[1])
end
"""
# KEYS also the queue's list, ARGV also the message and whether it goes back although the book does not have it. The push
# comes first: it is what may be refused, for want of memory.
_PUT_BACK: Final = """
local entry = redis.call('HGET', KEYS[1], ARGV[1])
if entry and string.sub(entry, 1, #ARGV[2]) ~= ARGV[2] or not entry and ARGV[4] == '' then
    return 0
end
redis.call('RPUSH', KEYS[3], ARGV[3])
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return 1
"""


class Envelope(dict[str, Any]):
    """A message as kombu has it, and as it lay in Redis.

    Args:
        content: The message, read.
        key: The list that it came from.
        data: Its exact bytes, by which its client finds it.
    """

    __slots__ = ("data", "key")

    def __init__(self, content: dict[str, Any], key: bytes, data: bytes) -> None:
        super().__init__(content)
        self.key = key
        self.data = data


def strike_command(book: str, tag: str | bytes, head: bytes) -> Command:
    """Strike out an entry that begins so, and no other."""
    return ("EVAL", _STRIKE, 2, book, f"{book}_index", tag, head)


def put_back_command(
    book: str, tag: str | bytes, head: bytes, key: bytes, data: bytes, *, anyway: bool = False
) -> Command:
    """Put a message back into its queue, to be taken next, if its entry begins so; ``anyway``: also if it has none."""
    return ("EVAL", _PUT_BACK, 3, book, f"{book}_index", key, tag, head, data, b"1" if anyway else b"")


def holder_of(entry: bytes) -> tuple[dict[str, Any], bytes, bytes]:
    """Who holds an entry: ``host``, ``pid`` and ``key`` by name; how the entry begins; the message."""
    end = entry.index(b"\n") + 1
    return json.loads(entry[:end]), entry[:end], entry[end:]


class Held:
    """What one process holds of one Redis.

    Args:
        client: Knows where to connect.
        book: The hash in Redis; its index, a sorted set, is named after it.
        lease: Seconds without a renewal after which others take what is held here for lost.

    Guarantees: ``_lock`` makes one command at a time of those that share the line. Any thread may call: while a worker ends, a
    thread of Celery's renews and strikes out.
    """

    _all: dict[tuple[Any, ...], "Held"] = {}  # noqa: RUF012 - one for the process is what it is for

    def __init__(self, client: Any, book: str, lease: float) -> None:
        self._line = Line(client)
        self._book, self._index = book, f"{book}_index"
        self._lease = lease
        self._lock = threading.Lock()
        self._messages: dict[str, Envelope] = {}
        self._struck: dict[str, bytes] = {}  # Struck out, but nobody knows yet whether Redis heard it.
        self._in_doubt = False  # Whether something that was written may not stand there.
        self._name = {"host": socket.gethostname(), "pid": os.getpid(), "token": secrets.token_hex(8)}
        self._heads: dict[bytes, bytes] = {}
        self._offset = time.time() - time.monotonic()
        self._renewed = time.monotonic()

    @classmethod
    def of(cls, channel: Any) -> "Held":
        """The one of this process for the Redis that a channel is connected to."""
        parameters = channel.pool.connection_kwargs
        place = *(parameters.get(name) for name in ("host", "port", "path", "db")), channel.unacked_key
        held = cls._all.get(place)
        if held is None:
            held = cls._all[place] = cls(channel._create_client(), channel.unacked_key, channel.visibility_timeout)
        return held

    @classmethod
    def cut_all(cls) -> None:
        """Cut the line of each book: it is dead, or may be. What was written last may not have arrived."""
        for held in cls._all.values():
            with held._lock:
                held._line.close()
                held._in_doubt = True

    def __len__(self) -> int:
        return len(self._messages)

    def __contains__(self, tag: object) -> bool:
        return tag in self._messages

    def take(self, tag: str, message: Envelope) -> None:
        """Note down a message, before it is handed on."""
        entry = self._head(message.key) + message.data
        with self._lock:
            self._messages[tag] = message
            self._write(("ZADD", self._index, self._now(), tag), ("HSET", self._book, tag, entry))

    def strike(self, tag: str) -> None:
        """A message is done."""
        with self._lock:
            message = self._messages.pop(tag, None)
            if message is not None:
                head = self._head(message.key)
                # After what it waits for, so that only what has been read back is forgotten.
                self._write(strike_command(self._book, tag, head))
                self._struck[tag] = head

    def put_back(self, tags: Iterable[str]) -> None:
        """Put messages that nothing has begun back into their queues, and wait until they are there.

        Raises:
            RedisError: Redis is away, or full. They are held as before.
        """
        with self._lock:
            anyway = self._settle()
            for tag in tags:
                if tag in self._messages:
                    message = self._messages[tag]
                    head = self._head(message.key)
                    self._line.send(put_back_command(self._book, tag, head, message.key, message.data, anyway=anyway))
                    self._line.settle()
                    del self._messages[tag]

    def put_back_all_but(self, tags: set[str]) -> None:
        """Likewise, all that nobody in this process knows of any more.

        Args:
            tags: What somebody does know of.
        """
        if lost := [tag for tag in self._messages if tag not in tags]:
            logger.warning(
                "%d messages go back to their queues: the connection broke while they were taken in", len(lost)
            )
            self.put_back(lost)

    def renew(self) -> None:
        """Say that all that is held here is in work.

        Raises:
            RedisError: Redis is away, or full. What is in doubt is written the next time.
        """
        with self._lock:
            self._settle()
            tags, began = list(self._messages), time.monotonic()
            self._line.send(("TIME",), *([self._renewal(tags, "XX", "CH")] if tags else []))
            seconds, microseconds = self._line.read()
            # Its own clock counts: those of two machines disagree.
            self._offset = int(seconds) + int(microseconds) / 1e6 - time.monotonic()
            try:
                missing = len(tags) - self._line.read() if tags else 0
            except RedisError:
                self._in_doubt = True
                raise
            # Gone though nobody may have taken it for lost yet: Redis itself has forgotten it, as after FLUSHALL.
            forgotten = missing and began - self._renewed < self._lease
            if self._in_doubt or forgotten:
                self._write_again(tags)
            self._renewed = began

    def _write_again(self, tags: list[str]) -> None:
        commands = [strike_command(self._book, tag, head) for tag, head in self._struck.items()]
        for tag in tags:
            message = self._messages[tag]
            commands.append(("HSETNX", self._book, tag, self._head(message.key) + message.data))
            commands.append(self._renewal([tag], "NX"))
        if commands:
            self._line.send(*commands)
            self._line.settle()
        self._struck.clear()
        self._in_doubt = False

    def _renewal(self, tags: list[str], *options: str) -> Command:
        command: list[str | bytes | float] = ["ZADD", self._index, *options]
        now = self._now()
        for tag in tags:
            command += now, tag
        return tuple(command)

    def _head(self, key: bytes) -> bytes:
        """How the entries of this holder begin, for messages of one list."""
        head = self._heads.get(key)
        if head is None:
            head = self._heads[key] = json.dumps({**self._name, "key": key.decode()}).encode() + b"\n"
        return head

    def _now(self) -> float:
        """What Redis' clock shows, as far as is known."""
        return time.monotonic() + self._offset

    def _write(self, *commands: Command) -> None:
        self._settle()
        try:
            self._line.send(*commands)
        except RedisError as error:
            self._doubt(error)

    def _settle(self) -> bool:
        """Read what Redis said to what was written before; whether it may not stand there."""
        try:
            self._line.settle()
        except RedisError as error:
            self._doubt(error)
        if not self._in_doubt:
            self._struck.clear()
        return self._in_doubt

    def _doubt(self, error: RedisError) -> None:
        self._in_doubt = True
        # What is in work goes on, but would be lost with this worker.
        logger.warning("the broker did not note down what this worker holds: %s", error)
