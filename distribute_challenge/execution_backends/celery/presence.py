"""Who is there: workers and clients say so every few seconds, in two hashes that everyone can read.

Clocks of different machines disagree, so every line carries Redis' own time, and readers compare with that.
"""

import json
import os
import platform
import socket
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import redis

from distribute_challenge.execution_backends.celery.keys import CLIENTS, WORKERS
from distribute_challenge.version import __version__

__all__ = ["BEAT", "ClientPresence", "WorkerPresence", "clients", "leave", "show", "slots", "workers"]

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


@dataclass(frozen=True)
class WorkerPresence(Presence):
    """A worker, with the number of its processes, the queues that it serves, and which shared memory it sees."""

    key = WORKERS

    concurrency: int
    queues: list[str]
    shared_memory: str = ""


@dataclass(frozen=True)
class ClientPresence(Presence):
    """A client, with the number of its unfinished calls."""

    key = CLIENTS

    waiting: int


def show(connection: redis.Redis, presence: Presence) -> None:
    """Give a sign of life."""
    line = json.dumps({**asdict(presence), "seen": _now(connection)})
    connection.hset(presence.key, presence.name, line)


def leave(connection: redis.Redis, presence: Presence) -> None:
    """Say good-bye."""
    connection.hdel(presence.key, presence.name)


def workers(connection: redis.Redis) -> list[WorkerPresence]:
    """All workers that gave a sign of life lately, by name."""
    return [WorkerPresence(**line) for line in _read(connection, WORKERS)]


def clients(connection: redis.Redis) -> list[ClientPresence]:
    """All clients that gave a sign of life lately, by name."""
    return [ClientPresence(**line) for line in _read(connection, CLIENTS)]


def slots(present: Iterable[WorkerPresence], queue: str | None = None) -> int:
    """Worker processes that serve a queue, or any queue."""
    return sum(worker.concurrency for worker in present if queue is None or queue in worker.queues)


def _read(connection: redis.Redis, key: str) -> list[dict[str, Any]]:
    lines: Mapping[bytes, bytes] = connection.hgetall(key)  # type: ignore[assignment] # typed for async too
    if not lines:
        return []
    now, found, gone = _now(connection), [], []
    for name, text in sorted(lines.items()):
        line = json.loads(text)
        if now - line.pop("seen") < STALE:
            found.append(line)
        else:
            gone.append(name)
    if gone:
        connection.hdel(key, *gone)
    return found


def _now(connection: redis.Redis) -> float:
    seconds, microseconds = connection.time()
    return float(seconds + microseconds / 1e6)
