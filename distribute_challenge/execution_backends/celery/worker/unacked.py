"""Records in Redis which messages this worker process holds, independently of kombu's connections.

A message that a worker takes stays in Redis as unacknowledged until it is done, with the worker's
name and the time of its last renewal. kombu keeps that record for each channel, and a channel ends
with its connection. It then gives back messages that still run, so that they run twice, or forgets
them, so that they are not renewed. Here the process has one record, over a connection of its own:

- When the connection is lost, no running message is given back. The messages are renewed over the
  next connection.
- Redis's answer to a command is read before the next command, so taking or acknowledging a message
  does not wait. Commands that may not have arrived, as Redis was full or away, are repeated at the
  next renewal.
- Every entry begins with a head: the name of its holder, which the holder has signed. Only that
  holder removes it: a worker that was frozen until its lease was over does not remove the entry of
  the worker that has the message now.
- A message goes back into its queue byte for byte, in one step with the removal of its entry.

In Redis, the record is a hash with the entries, by delivery tag, and a
sorted set with the times of the last renewals (its index).
"""

import json
import os
import secrets
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Iterable
from typing import Any

from redis import RedisError

from distribute_challenge.execution_backends.celery.broker.pipelined import PipelinedConnection
from distribute_challenge.execution_backends.celery.worker.unacked_entries import (
    Command,
    Envelope,
    ack_command,
    put_back_command,
)
from distribute_challenge.log import logger
from distribute_challenge.security import Keyring, Purpose

__all__ = ["UnackedMessages"]


class UnackedMessages:
    """The messages of one Redis that this process holds.

    The channels of `overrides.transport` take and acknowledge messages; `PresenceStep` renews them.

    Args:
        client: Knows where to connect.
        unacked_key: Key of the hash in Redis; the key of its index is made from it.
        lease: Seconds without a renewal after which other workers take a message for lost.
        keyring: Signs the name of the process.

    Guarantees: ``_lock`` lets one command at a time use the shared connection. Any thread may call:
    while a worker ends, a thread of Celery renews and acknowledges messages.
    """

    _all: dict[tuple[Any, ...], "UnackedMessages"] = {}  # noqa: RUF012 - shared by the whole process

    def __init__(self, client: Any, unacked_key: str, lease: float, keyring: Keyring) -> None:
        self._connection = PipelinedConnection(client)
        self._keyring = keyring
        self._unacked_key, self._index = unacked_key, f"{unacked_key}_index"
        self._lease = lease
        self._lock = threading.Lock()
        self._messages: dict[str, Envelope] = {}
        # Heads of entries whose removal was sent, and not yet confirmed by Redis, by tag.
        self._acked: dict[str, bytes] = {}
        self._in_doubt = False  # Whether a command may not have arrived.
        self._name = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "token": secrets.token_hex(8),
        }
        self._heads: dict[bytes, bytes] = {}
        self._offset = time.time() - time.monotonic()
        self._renewed = time.monotonic()

    @classmethod
    def of(cls, channel: Any) -> "UnackedMessages":
        """Return this process's object for the Redis that a channel is connected to."""
        parameters = channel.pool.connection_kwargs
        place = (
            *(parameters.get(name) for name in ("host", "port", "path", "db")),
            channel.unacked_key,
        )
        unacked = cls._all.get(place)
        if unacked is None:
            # A program that is no worker, such as Flower, holds nothing.
            keyring = Keyring.insecure() if channel.gate is None else channel.gate.keyring
            client = channel._create_client()
            unacked = cls._all[place] = cls(
                client, channel.unacked_key, channel.visibility_timeout, keyring
            )
        return unacked

    @classmethod
    def cut_all(cls) -> None:
        """Close the connection of each object, as it may be dead.

        The last commands may not have arrived; they are repeated at the next renewal.
        """
        for unacked in cls._all.values():
            with unacked._lock:
                unacked._connection.close()
                unacked._in_doubt = True

    def __len__(self) -> int:
        return len(self._messages)

    def __contains__(self, tag: object) -> bool:
        return tag in self._messages

    def take(self, tag: str, message: Envelope) -> None:
        """Record a message in Redis, before it is handed on.

        Args:
            tag: Its delivery tag.
            message: The message.
        """
        entry = self._head(message.key) + message.data
        with self._lock:
            self._messages[tag] = message
            self._write(
                ("ZADD", self._index, self._now(), tag), ("HSET", self._unacked_key, tag, entry)
            )

    def ack(self, tag: str) -> None:
        """Remove a message that is done, without waiting for Redis.

        Args:
            tag: Its delivery tag.
        """
        with self._lock:
            message = self._messages.pop(tag, None)
            if message is not None:
                head = self._head(message.key)
                # `_write` may clear `_acked`, so this tag is added after it: Redis has not
                # confirmed its removal yet.
                self._write(ack_command(self._unacked_key, tag, head))
                self._acked[tag] = head

    def put_back(self, tags: Iterable[str]) -> None:
        """Put messages that have not begun back into their queues, and wait until they are there.

        Args:
            tags: Their delivery tags.

        Raises:
            RedisError: Redis is away, or full. The messages are held as before.
        """
        with self._lock:
            anyway = self._settle()
            for tag in tags:
                if tag in self._messages:
                    message = self._messages[tag]
                    head = self._head(message.key)
                    self._connection.send(
                        put_back_command(
                            self._unacked_key, tag, head, message.key, message.data, anyway=anyway
                        )
                    )
                    self._connection.settle()
                    del self._messages[tag]

    def put_back_all_but(self, tags: set[str]) -> None:
        """Put back all messages that the pool of this process does not know.

        Args:
            tags: Delivery tags of the messages that the pool knows.

        Raises:
            RedisError: Redis is away, or full. The messages are held as before.
        """
        if lost := [tag for tag in self._messages if tag not in tags]:
            logger.warning(
                "%d messages go back to their queues: the connection broke while they were taken "
                "in",
                len(lost),
            )
            self.put_back(lost)

    def renew(self) -> None:
        """Renew the leases of all messages that are held here.

        Raises:
            RedisError: Redis is away, or full. Commands that are in doubt are repeated next time.
        """
        with self._lock:
            self._settle()
            tags, began = list(self._messages), time.monotonic()
            self._connection.send(("TIME",), *([self._renewal(tags, "XX", "CH")] if tags else []))
            seconds, microseconds = self._connection.read()
            # Renewals are times of Redis' clock, as the clocks of two machines disagree.
            self._offset = int(seconds) + int(microseconds) / 1e6 - time.monotonic()
            try:
                missing = len(tags) - self._connection.read() if tags else 0
            except RedisError:
                self._in_doubt = True
                raise
            # Entries are missing though no worker can have taken them for lost yet: Redis itself
            # has lost them, as after FLUSHALL.
            forgotten = missing and began - self._renewed < self._lease
            if self._in_doubt or forgotten:
                self._write_again(tags)
            self._renewed = began

    def _write_again(self, tags: list[str]) -> None:
        commands = [ack_command(self._unacked_key, tag, head) for tag, head in self._acked.items()]
        for tag in tags:
            message = self._messages[tag]
            commands.append(
                ("HSETNX", self._unacked_key, tag, self._head(message.key) + message.data)
            )
            commands.append(self._renewal([tag], "NX"))
        if commands:
            self._connection.send(*commands)
            self._connection.settle()
        self._acked.clear()
        self._in_doubt = False

    def _renewal(self, tags: list[str], *options: str) -> Command:
        command: list[str | bytes | float] = ["ZADD", self._index, *options]
        now = self._now()
        for tag in tags:
            command += now, tag
        return tuple(command)

    def _head(self, key: bytes) -> bytes:
        """Return the head of this process's entries for messages of one list."""
        head = self._heads.get(key)
        if head is None:
            name = json.dumps({**self._name, "key": key.decode()}).encode()
            head = self._heads[key] = b64encode(self._keyring.seal(Purpose.HOLDER, [name])) + b"\n"
        return head

    def _now(self) -> float:
        """Return the time of Redis' clock, as measured at the last renewal."""
        return time.monotonic() + self._offset

    def _write(self, *commands: Command) -> None:
        self._settle()
        try:
            self._connection.send(*commands)
        except RedisError as error:
            self._doubt(error)

    def _settle(self) -> bool:
        """Read Redis's answers to the last commands.

        Returns:
            Whether a command may not have arrived.
        """
        try:
            self._connection.settle()
        except RedisError as error:
            self._doubt(error)
        if not self._in_doubt:
            self._acked.clear()
        return self._in_doubt

    def _doubt(self, error: RedisError) -> None:
        self._in_doubt = True
        # Running messages go on, but would be lost if this worker died now.
        logger.warning("the broker did not note down what this worker holds: %s", error)
