"""The presence of workers and clients: each shows every few seconds, in Redis, that it is running.

There are two hashes, one for workers and one for clients, which all of them can read. Clocks of
different machines disagree, so every line carries Redis' own time, and readers compare it with
that: once outside the seal, so that every reader can remove an old line, and once inside it.
"""

import json
import os
import platform
import socket
from collections.abc import Iterable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, ClassVar, TypeVar

from distribute_challenge.core.schema import Check, number_up_to, row_of, seconds, text
from distribute_challenge.errors import BackendError, ForgedError
from distribute_challenge.execution_backends.celery.broker.connection import Broker
from distribute_challenge.execution_backends.celery.broker.keys import CLIENTS, WORKERS
from distribute_challenge.security import Purpose
from distribute_challenge.version import __version__

__all__ = [
    "BEAT",
    "STALE",
    "ClientPresence",
    "WorkerPresence",
    "clients",
    "leave",
    "show",
    "slots",
    "strangers",
    "workers",
    "workers_and_strangers",
]

BEAT = 2.0  # Seconds between two signs of life.
STALE = 15.0  # Seconds without a sign of life after which a process counts as gone.


@dataclass(frozen=True)
class Presence:
    """What a worker or client tells others about itself.

    The reader sets ``age``: how many seconds ago it was told, by Redis' clock.
    """

    key: ClassVar[str]

    name: str
    pid: int = field(default_factory=os.getpid, kw_only=True)
    host: str = field(default_factory=socket.gethostname, kw_only=True)
    python: str = field(default_factory=platform.python_version, kw_only=True)
    library: str = field(default=__version__, kw_only=True)
    age: float = field(default=0.0, kw_only=True, compare=False)


@dataclass(frozen=True)
class WorkerPresence(Presence):
    """A worker: its child processes, its queues, its shared memory, the messages it has refused.

    ``concurrency`` is the number of child processes, ``shared_memory`` names the shared memory that
    it sees, and ``refused`` is how many messages it has refused. ``opens`` lists the kinds of seals
    that it opens (`Keyring.opens`).
    """

    key = WORKERS

    concurrency: int
    queues: list[str]
    shared_memory: str = ""
    refused: int = 0
    opens: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ClientPresence(Presence):
    """A client; ``waiting`` is the number of its unfinished calls, and ``queues`` that by queue.

    Calls of its maps that no message has yet count as well, if the length of the map is known.
    """

    key = CLIENTS

    waiting: int
    queues: dict[str, int] = field(default_factory=dict)


def show(connection: Broker, presence: Presence) -> None:
    """Give a sign of life: write a presence into Redis."""
    seen = _now(connection)
    said = {field.name: getattr(presence, field.name) for field in _said(type(presence))}
    content = json.dumps({**said, "seen": seen}).encode()
    sealed = connection.keyring.seal(Purpose.presence(presence.key, presence.name), [content])
    connection.hset(presence.key, presence.name, b"%.3f %b" % (seen, sealed))


def leave(connection: Broker, kind: type[Presence], name: str) -> None:
    """Take back the sign of life of a worker or a client that ends.

    Args:
        connection: To the broker.
        kind: What it is.
        name: What it is called there.
    """
    connection.hdel(kind.key, name)


def workers(connection: Broker) -> list[WorkerPresence]:
    """Return the workers with a recent sign of life that take this connection's calls, by name.

    A worker takes them if it opens what this connection's secret seals.
    """
    return workers_and_strangers(connection)[0]


def clients(connection: Broker) -> list[ClientPresence]:
    """Return all clients with a recent sign of life, by name."""
    return _read(connection, ClientPresence)[0]


def strangers(connection: Broker) -> int:
    """Return how many workers with a recent sign of life cannot take this connection's calls.

    Their presence is sealed with another secret, or they do not open what this connection seals.
    """
    return workers_and_strangers(connection)[1]


def workers_and_strangers(connection: Broker) -> tuple[list[WorkerPresence], int]:
    """Return what `workers` and `strangers` return, with one request."""
    known, others = _read(connection, WorkerPresence)
    hearing = [worker for worker in known if _hears(worker, connection)]
    return hearing, others + len(known) - len(hearing)


def slots(present: Iterable[WorkerPresence], queue: str | None = None) -> int:
    """Return the number of child processes that serve a queue, or any queue."""
    return sum(worker.concurrency for worker in present if queue is None or queue in worker.queues)


P = TypeVar("P", bound=Presence)

_number = number_up_to()


def _numbers_by_name(value: Any) -> bool:
    return isinstance(value, dict) and all(map(text, value)) and all(map(_number, value.values()))


_CHECKS: dict[Any, Check] = {
    str: text,
    int: _number,
    list[str]: row_of(text),
    dict[str, int]: _numbers_by_name,
}


def _hears(worker: WorkerPresence, connection: Broker) -> bool:
    # Of a worker whose version does not list `opens`, the seal itself has to suffice.
    return not worker.opens or connection.keyring.seals_as in worker.opens


def _read(connection: Broker, kind: type[P]) -> tuple[list[P], int]:
    """Return the presences sealed with this connection's secret, and the number of others."""
    lines: Mapping[bytes, bytes] = connection.hgetall(kind.key)  # type: ignore[assignment] # not async
    if not lines:
        return [], 0
    now, found, gone, others = _now(connection), [], [], 0
    for name, line in sorted(lines.items()):
        if _is_old(line, now):
            gone.append(name)
            continue
        try:
            sealed = line.partition(b" ")[2]
            opened = connection.keyring.open(Purpose.presence(kind.key, name.decode()), sealed)
            presence = _presence_in(bytes(opened), kind, now)
        except (ForgedError, BackendError, TypeError, ValueError, RecursionError):
            # It is sealed with another secret, or encrypted while the package for that is missing
            # here, or is no presence at all.
            others += 1
            continue
        if _is_fresh(presence.age):
            found.append(presence)
        else:
            gone.append(name)  # An old line with a new time outside its seal was put back.
    if gone:
        connection.hdel(kind.key, *gone)
    return found, others


def _said(kind: type[Presence]) -> list[Field[Any]]:
    return [field for field in fields(kind) if field.name != "age"]


def _presence_in(opened: bytes, kind: type[P], now: float) -> P:
    """Return the presence in an opened line; fields that this version does not know are left out.

    Raises:
        ValueError: It is no presence; or TypeError, or RecursionError.
    """
    content = json.loads(opened)
    if not isinstance(content, dict) or not seconds(content.get("seen")):
        raise ValueError("it says nothing")
    known = [field for field in _said(kind) if field.name in content]
    for field_ in known:
        if not _CHECKS[field_.type](content[field_.name]):
            raise ValueError(field_.name)
    return kind(**{field.name: content[field.name] for field in known}, age=now - content["seen"])


def _is_fresh(age: float) -> bool:
    # Lines from the future are not fresh, either: their process would never count as gone.
    return abs(age) < STALE


def _is_old(line: bytes, now: float) -> bool:
    try:
        return not _is_fresh(now - float(line.partition(b" ")[0]))
    except ValueError:
        return True


def _now(connection: Broker) -> float:
    return connection.clock.ask(connection)
