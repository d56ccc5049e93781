"""What a dashboard shows at one moment, as plain values that JSON can hold.

Times are in seconds by Redis' clock, memory in bytes. What Redis alone does not tell is known only
of the time in which a dashboard watched.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple

from distribute_challenge.execution_backends.celery.broker.reports import State

__all__ = [
    "Bar",
    "ClientRow",
    "FailureRow",
    "FunctionRow",
    "GraphRow",
    "ItemQueueRow",
    "Lane",
    "MapRow",
    "Point",
    "QueueRow",
    "RedisRow",
    "Snapshot",
    "Totals",
    "WorkerRow",
    "WorkerState",
]

#: Here; without a sign of life for some seconds; without one for so long that it counts as gone; or
#: ended in order.
WorkerState = Literal["here", "silent", "lost", "ended"]


class WorkerRow(NamedTuple):
    """A worker; ``busy`` and ``memory`` are None until it has reported.

    ``age`` is the time since its last sign of life, ``refused`` how many messages it has refused.
    """

    name: str
    state: WorkerState
    processes: int
    busy: int | None
    memory: int | None
    memory_limit: int | None
    queues: Sequence[str]
    python: str
    library: str
    pid: int
    age: float
    refused: int


class Bar(NamedTuple):
    """A message that a process has ended or runs, or several short ones of one function.

    ``state`` is None if it runs.
    """

    began: float
    took: float
    function: str
    state: State | None
    messages: int


class Lane(NamedTuple):
    """What ran in one process; or how busy one worker was, if there are too many processes.

    ``busy`` has the busy share of the processes, 0 to 1, for each second of the window; it is empty
    for a process.
    """

    worker: str
    pid: int
    memory: int
    is_here: bool
    bars: Sequence[Bar]
    busy: Sequence[float]


class FunctionRow(NamedTuple):
    """The calls of a function: now waiting in clients, now out, and ended while watched.

    Calls that wait for other calls are among those that wait.
    """

    name: str
    waiting: int
    out: int
    done: int
    failed: int
    seconds: float


class MapRow(NamedTuple):
    """A map; ``total`` is None if it is unknown, ``is_open`` whether its loop goes on."""

    name: str
    client: str
    total: int | None
    done: int
    failed: int
    is_open: bool


class GraphRow(NamedTuple):
    """A graph: its ``calls``, of which some have ``ended``, some are ``out``, and some wait.

    ``results`` is how many of them the program gets, ``failed`` and ``cancelled`` how many of these
    ended so. ``ended`` is None if the graph is over and not all of them have a value: nothing
    counts the calls that did not begin. It ``took`` so many seconds so far. ``is_open`` is whether
    it goes on.
    """

    name: str
    client: str
    calls: int
    ended: int | None
    out: int
    waiting: int
    results: int
    failed: int
    cancelled: int
    began: float
    took: float
    is_open: bool


class QueueRow(NamedTuple):
    """A queue: messages in Redis, unfinished calls of its clients, processes that serve it."""

    name: str
    messages: int
    unfinished_calls: int
    processes: int


class ItemQueueRow(NamedTuple):
    """A named queue of items: how many wait, are not done, and are dead letters.

    ``maxsize`` is how many may wait; 0: there is no limit.
    """

    name: str
    waiting: int
    unfinished: int
    dead: int
    maxsize: int


class ClientRow(NamedTuple):
    """A client."""

    name: str
    host: str
    pid: int
    python: str
    library: str
    unfinished_calls: int


class FailureRow(NamedTuple):
    """A message with calls that failed, or that its process did not survive."""

    at: float
    function: str
    worker: str
    pid: int
    error: str
    traceback: str


class Point(NamedTuple):
    """One second: calls that ended and failed, and times from sending a message to its reply."""

    at: float
    calls: float
    failed: float
    median: float | None
    slowest: float | None


class RedisRow(NamedTuple):
    """The server; ``memory_limit`` is 0 if it has none."""

    version: str
    memory: int
    memory_limit: int
    connections: int
    uptime: float


class Totals(NamedTuple):
    """Sums over the whole cluster; calls, failures and messages since the watch began."""

    workers: int
    processes: int
    busy: int
    clients: int
    unfinished_calls: int
    detached_calls: int
    calls: int
    failed: int
    messages: int
    lost_messages: int


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """All that a dashboard shows.

    Args:
        at: When it was taken.
        watched_since: When the watch began.
        window: Seconds that the lanes show.
        broker: The broker's address, without its password.
        totals: Sums over the cluster.
        redis: The server.
        workers: The workers: first those that are silent, last those that are gone.
        workers_left_out: Number of further workers.
        lanes: What ran in their processes.
        lanes_left_out: Number of further lanes.
        functions: Calls by function.
        functions_left_out: Number of further functions.
        maps: The maps.
        graphs: The graphs, the latest first.
        graphs_left_out: Number of further graphs.
        queues: The queues.
        item_queues: The named queues of items.
        item_queues_left_out: Number of further queues of items.
        clients: The clients.
        clients_left_out: Number of further clients.
        failures: The latest failures, the latest first.
        failures_left_out: Number of further failures.
        points: The last minutes, second by second.
        notes: What is not as it should be, one line each.
    """

    at: float
    watched_since: float
    window: float
    broker: str
    totals: Totals
    redis: RedisRow
    workers: Sequence[WorkerRow]
    workers_left_out: int
    lanes: Sequence[Lane]
    lanes_left_out: int
    functions: Sequence[FunctionRow]
    functions_left_out: int
    maps: Sequence[MapRow]
    graphs: Sequence[GraphRow]
    graphs_left_out: int
    queues: Sequence[QueueRow]
    item_queues: Sequence[ItemQueueRow]
    item_queues_left_out: int
    clients: Sequence[ClientRow]
    clients_left_out: int
    failures: Sequence[FailureRow]
    failures_left_out: int
    points: Sequence[Point]
    notes: Sequence[str]

    def to_json(self) -> str:
        """Return it as one JSON object; bars and points are lists, in the order of their fields."""
        content: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        for name in _OBJECTS:
            content[name] = [row._asdict() for row in content[name]]
        content["totals"] = self.totals._asdict()
        content["redis"] = self.redis._asdict()
        return json.dumps(content, separators=(",", ":"))


_OBJECTS = (
    "workers", "lanes", "functions", "maps", "graphs", "queues", "item_queues", "clients", "failures"
)  # fmt: skip
