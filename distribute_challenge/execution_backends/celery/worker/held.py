"""The book of what this worker process holds: one for the process, whatever becomes of its
connections.

A message that a worker takes stands in Redis until it is done, with the worker's name and with the
time of its last renewal. kombu keeps that book for each channel, and a channel ends with its
connection: it then gives back what is still running, so that it runs twice, or knows nothing of it
any more, so that nobody renews it. Here the process keeps it, over one line of its own:

- Nothing that runs is given back when the connection is lost. It goes on being renewed over the
  next one.
- What is written is read back later, with the next command, so taking a message and striking it out
  wait for nobody. What may not have arrived, as Redis was full or away, is written again at the
  next renewal.
- Every entry begins with the name of its holder, which the holder has signed, and is struck out
  only by that one: a worker that was frozen until its lease was over does no harm to who has the
  message now.
- What goes back into its queue goes back byte for byte, in one step with the striking out.
"""

import json
import os
import secrets
import socket
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from redis import RedisError

from distribute_challenge.core.printable import printable
from distribute_challenge.core.schema import number_up_to, text
from distribute_challenge.errors import ForgedError
from distribute_challenge.execution_backends.celery.broker.line import Line
from distribute_challenge.log import logger
from distribute_challenge.security import Keyring, Purpose

__all__ = [
    "Envelope",
    "Held",
    "Holder",
    "holder_of",
    "parts_of",
    "put_back_command",
    "strike_command",
]

Command = tuple[str | bytes | float, ...]

_number = number_up_to()

# Both: KEYS book, index; ARGV tag, how its entry begins.
_STRIKE: Final = """
local entry = redis.call('HGET', KEYS[1], ARGV[1])
if entry and string.sub(entry, 1, #ARGV[2]) == ARGV[2] then
    redis.call('HDEL', KEYS[1], ARGV[1])
    redis.call('ZREM', KEYS[2], ARGV[1])
end
"""
# KEYS also the queue's list, ARGV also the message and whether it goes back although the book does
# not have it. The push comes first: it is what may be refused, for want of memory.
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


class Holder(NamedTuple):
    """The process that holds a message.

    Args:
        host: Name of its machine.
        pid: Its number there.
    """

    host: str
    pid: int


def strike_command(book: str, tag: str | bytes, head: bytes) -> Command:
    """Strike out an entry that begins so, and no other."""
    return ("EVAL", _STRIKE, 2, book, f"{book}_index", tag, head)


def put_back_command(
    book: str, tag: str | bytes, head: bytes, key: bytes, data: bytes, *, anyway: bool = False
) -> Command:
    """Put a message back into its queue, to be taken next, if its entry begins so; ``anyway``: also
    if it has none.
    """
    return (
        "EVAL",
        _PUT_BACK,
        3,
        book,
        f"{book}_index",
        key,
        tag,
        head,
        data,
        b"1" if anyway else b"",
    )


def parts_of(entry: bytes) -> tuple[bytes, bytes]:
    """How an entry begins, and the message.

    Raises:
        ValueError: It is no entry.
    """
    end = entry.index(b"\n") + 1
    return entry[:end], entry[end:]


def holder_of(head: bytes, keyring: Keyring) -> Holder:
    """Who holds an entry that begins so.

    Raises:
        ForgedError: No worker with the secret has written that.
        BackendError: It is encrypted, and the package for that is not installed here.
    """
    try:
        sealed = b64decode(head.rstrip(b"\n"), validate=True)
        said = json.loads(bytes(keyring.open(Purpose.HOLDER, sealed)))
    except (ValueError, RecursionError):
        raise ForgedError("it has to be JSON, sealed, in base64") from None
    match said:
        case {"host": host, "pid": pid} if text(host) and _number(pid):
            return Holder(printable(host), pid)
    raise ForgedError("it names no process")


class Held:
    """What one process holds of one Redis.

    Args:
        client: Knows where to connect.
        book: The hash in Redis; its index, a sorted set, is named after it.
        lease: Seconds without a renewal after which others take what is held here for lost.
        keyring: Signs the name of the process.

    Guarantees: ``_lock`` makes one command at a time of those that share the line. Any thread may
    call: while a worker ends, a thread of Celery's renews and strikes out.
    """

    _all: dict[tuple[Any, ...], "Held"] = {}  # noqa: RUF012 - one for the process is what it is for

    def __init__(self, client: Any, book: str, lease: float, keyring: Keyring) -> None:
        self._line = Line(client)
        self._keyring = keyring
        self._book, self._index = book, f"{book}_index"
        self._lease = lease
        self._lock = threading.Lock()
        self._messages: dict[str, Envelope] = {}
        self._struck: dict[
            str, bytes
        ] = {}  # Struck out, but nobody knows yet whether Redis heard it.
        self._in_doubt = False  # Whether something that was written may not stand there.
        self._name = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "token": secrets.token_hex(8),
        }
        self._heads: dict[bytes, bytes] = {}
        self._offset = time.time() - time.monotonic()
        self._renewed = time.monotonic()

    @classmethod
    def of(cls, channel: Any) -> "Held":
        """The one of this process for the Redis that a channel is connected to."""
        parameters = channel.pool.connection_kwargs
        place = (
            *(parameters.get(name) for name in ("host", "port", "path", "db")),
            channel.unacked_key,
        )
        held = cls._all.get(place)
        if held is None:
            # A program that is no worker, such as Flower, holds nothing.
            keyring = Keyring.insecure() if channel.gate is None else channel.gate.keyring
            client = channel._create_client()
            held = cls._all[place] = cls(
                client, channel.unacked_key, channel.visibility_timeout, keyring
            )
        return held

    @classmethod
    def cut_all(cls) -> None:
        """Cut the line of each book: it is dead, or may be. What was written last may not have
        arrived.
        """
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
        """Put messages that nothing has begun back into their queues, and wait until they are
        there.

        Raises:
            RedisError: Redis is away, or full. They are held as before.
        """
        with self._lock:
            anyway = self._settle()
            for tag in tags:
                if tag in self._messages:
                    message = self._messages[tag]
                    head = self._head(message.key)
                    self._line.send(
                        put_back_command(
                            self._book, tag, head, message.key, message.data, anyway=anyway
                        )
                    )
                    self._line.settle()
                    del self._messages[tag]

    def put_back_all_but(self, tags: set[str]) -> None:
        """Likewise, all that nobody in this process knows of any more.

        Args:
            tags: What somebody does know of.
        """
        if lost := [tag for tag in self._messages if tag not in tags]:
            logger.warning(
                "%d messages go back to their queues: the connection broke while they were taken "
                "in",
                len(lost),
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
            # Gone though nobody may have taken it for lost yet: Redis itself has forgotten it, as
            # after FLUSHALL.
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
            name = json.dumps({**self._name, "key": key.decode()}).encode()
            head = self._heads[key] = b64encode(self._keyring.seal(Purpose.HOLDER, [name])) + b"\n"
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
