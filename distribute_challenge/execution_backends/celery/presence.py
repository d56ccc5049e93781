"""Who is there: workers and clients say so every few seconds, in two hashes that everyone can read.

Clocks of different machines disagree, so every line carries Redis' own time, and readers compare with that: first in the open,
so that anybody can remove it when it is old, then once more in what is sealed.
"""

import json
import os
import platform
import socket
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, TypeVar

from distribute_challenge.errors import ForgedError
from distribute_challenge.execution_backends.celery.connection import Broker
from distribute_challenge.execution_backends.celery.keys import CLIENTS, WORKERS
from distribute_challenge.security import Purpose
from distribute_challenge.version import __version__

__all__ = ["BEAT", "ClientPresence", "WorkerPresence", "clients", "leave", "show", "slots", "strangers", "workers"]

BEAT = 2.0  # Seconds between two signs of life.
STALE = 15.0  # Seconds without one after which somebody counts as gone.


@dataclass(frozen=True)
class Presence:
    """What somebody says of itself."""

    key: ClassVar[str]

    name: str
    pid: int = field(default_factory=os.getpid, kw_only=True)
    host: str = field(default_factory=socket.gethostname, kw_only=True)
    python: str = field(default_factory=platform.python_version, kw_only=True)
    library: str = field(default=__version__, kw_only=True)


P = TypeVar("P", bound=Presence)


@dataclass(frozen=True)
class WorkerPresence(Presence):
    """A worker: how many processes it has, which queues it serves, which shared memory it sees, how many messages it has refused."""

    key = WORKERS

    concurrency: int
    queues: list[str]
    shared_memory: str = ""
    refused: int = 0


@dataclass(frozen=True)
class ClientPresence(Presence):
    """A client, with the number of its unfinished calls."""

    key = CLIENTS

    waiting: int


def show(connection: Broker, presence: Presence) -> None:
    """Give a sign of life."""
    seen = _now(connection)
    text = json.dumps({**asdict(presence), "seen": seen}).encode()
    sealed = connection.keyring.seal(Purpose.presence(presence.key, presence.name), [text])
    connection.hset(presence.key, presence.name, b"%.3f %b" % (seen, sealed))


def leave(connection: Broker, presence: Presence) -> None:
    """Say good-bye."""
    connection.hdel(presence.key, presence.name)


def workers(connection: Broker) -> list[WorkerPresence]:
    """All workers that gave a sign of life lately, by name."""
    return [_made(WorkerPresence, line) for line in _read(connection, WORKERS)[0]]


def clients(connection: Broker) -> list[ClientPresence]:
    """All clients that gave a sign of life lately, by name."""
    return [_made(ClientPresence, line) for line in _read(connection, CLIENTS)[0]]


def strangers(connection: Broker) -> int:
    """How many workers gave a sign of life lately that has been sealed with another secret."""
    return _read(connection, WORKERS)[1]


def slots(present: Iterable[WorkerPresence], queue: str | None = None) -> int:
    """Worker processes that serve a queue, or any queue."""
    return sum(worker.concurrency for worker in present if queue is None or queue in worker.queues)


def _made(kind: type[P], line: dict[str, Any]) -> P:
    """Without what another version of the library may say beside that."""
    known = {field.name for field in fields(kind)}
    return kind(**{name: value for name, value in line.items() if name in known})


def _read(connection: Broker, key: str) -> tuple[list[dict[str, Any]], int]:
    """What those say of themselves who share the secret, and the number of others."""
    lines: Mapping[bytes, bytes] = connection.hgetall(key)  # type: ignore[assignment] # typed for async too
    if not lines:
        return [], 0
    now, found, gone, others = _now(connection), [], [], 0
    for name, text in sorted(lines.items()):
        if _is_old(text, now):
            gone.append(name)
            continue
        try:
            sealed = text.partition(b" ")[2]
            line = json.loads(bytes(connection.keyring.open(Purpose.presence(key, name.decode()), sealed)))
        except (ForgedError, UnicodeDecodeError):
            others += 1
            continue
        if now - line.pop("seen") < STALE:
            found.append(line)
        else:
            gone.append(name)  # Somebody has put a new time before an old line.
    if gone:
        connection.hdel(key, *gone)
    return found, others


def _is_old(line: bytes, now: float) -> bool:
    try:
        return not now - float(line.partition(b" ")[0]) < STALE
    except ValueError:
        return True


def _now(connection: Broker) -> float:
    seconds, microseconds = connection.time()
    return float(seconds + microseconds / 1e6)
