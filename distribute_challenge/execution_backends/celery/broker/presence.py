"""Who is there: workers and clients say so every few seconds, in two hashes that everyone can read.

Clocks of different machines disagree, so every line carries Redis' own time, and readers compare
with that: first in the open, so that anybody can remove it when it is old, then once more in what
is sealed.
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
STALE = 15.0  # Seconds without one after which somebody counts as gone.


@dataclass(frozen=True)
class Presence:
    """What somebody says of itself.

    And ``age``, how many seconds ago by Redis' clock, which the reader finds out.
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
    """A worker: how many processes it has, which queues it serves, which shared memory it sees, how
    many messages it has refused.

    And ``opens``, how those may seal whose calls it takes (`Keyring.opens`).
    """

    key = WORKERS

    concurrency: int
    queues: list[str]
    shared_memory: str = ""
    refused: int = 0
    opens: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ClientPresence(Presence):
    """A client, with the number of its unfinished calls."""

    key = CLIENTS

    waiting: int


def show(connection: Broker, presence: Presence) -> None:
    """Give a sign of life."""
    seen = _now(connection)
    said = {field.name: getattr(presence, field.name) for field in _said(type(presence))}
    content = json.dumps({**said, "seen": seen}).encode()
    sealed = connection.keyring.seal(Purpose.presence(presence.key, presence.name), [content])
    connection.hset(presence.key, presence.name, b"%.3f %b" % (seen, sealed))


def leave(connection: Broker, presence: Presence) -> None:
    """Say good-bye."""
    connection.hdel(presence.key, presence.name)


def workers(connection: Broker) -> list[WorkerPresence]:
    """All workers that gave a sign of life lately and take calls that are sealed with this
    connection's secret, by name.
    """
    return workers_and_strangers(connection)[0]


def clients(connection: Broker) -> list[ClientPresence]:
    """All clients that gave a sign of life lately, by name."""
    return _read(connection, ClientPresence)[0]


def strangers(connection: Broker) -> int:
    """How many workers gave a sign of life lately that has been sealed with another secret, or do
    not take what this one seals.
    """
    return workers_and_strangers(connection)[1]


def workers_and_strangers(connection: Broker) -> tuple[list[WorkerPresence], int]:
    """What `workers` and `strangers` return, from one look."""
    known, others = _read(connection, WorkerPresence)
    hearing = [worker for worker in known if _hears(worker, connection)]
    return hearing, others + len(known) - len(hearing)


def slots(present: Iterable[WorkerPresence], queue: str | None = None) -> int:
    """Worker processes that serve a queue, or any queue."""
    return sum(worker.concurrency for worker in present if queue is None or queue in worker.queues)


P = TypeVar("P", bound=Presence)

_CHECKS: dict[Any, Check] = {str: text, int: number_up_to(), list[str]: row_of(text)}


def _hears(worker: WorkerPresence, connection: Broker) -> bool:
    # A worker of a version that does not say so is taken at its seal.
    return not worker.opens or connection.keyring.seals_as in worker.opens


def _read(connection: Broker, kind: type[P]) -> tuple[list[P], int]:
    """What those say of themselves who share the secret, and the number of others."""
    lines: Mapping[bytes, bytes] = connection.hgetall(kind.key)  # type: ignore[assignment] # typed for async too
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
            # With another secret, or encrypted, and the package for that is not here; or nonsense.
            others += 1
            continue
        if _is_fresh(presence.age):
            found.append(presence)
        else:
            gone.append(name)  # Somebody has put a new time before an old line.
    if gone:
        connection.hdel(kind.key, *gone)
    return found, others


def _said(kind: type[Presence]) -> list[Field[Any]]:
    return [field for field in fields(kind) if field.name != "age"]


def _presence_in(opened: bytes, kind: type[P], now: float) -> P:
    """Somebody who said this; what another version says beside it is left out.

    Raises:
        ValueError: It cannot be said; or TypeError, or RecursionError.
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
    # Nor from times to come, from where somebody would be there for ever.
    return abs(age) < STALE


def _is_old(line: bytes, now: float) -> bool:
    try:
        return not _is_fresh(now - float(line.partition(b" ")[0]))
    except ValueError:
        return True


def _now(connection: Broker) -> float:
    return connection.clock.ask(connection)
