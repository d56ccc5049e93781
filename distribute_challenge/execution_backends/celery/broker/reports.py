"""What workers and clients report about themselves while a dashboard watches.

    dashboard ──► the key ``watched``, for some seconds
                     │ each process looks with its sign of life
                     ▼
    worker, client ──► the stream ``reports``, once a second ──► dashboard

While no dashboard watches, nothing is recorded and nothing is sent. A report is sealed like all
else, so that a reader takes none that another program has written, and none is unpickled. Each
report says what has happened since the one before.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final, Literal, NamedTuple, TypeVar

from distribute_challenge.core.schema import Check, flag, number_up_to, row_of, seconds, text
from distribute_challenge.errors import BackendError, ForgedError
from distribute_challenge.execution_backends.celery.broker.connection import Broker
from distribute_challenge.execution_backends.celery.broker.keys import REPORTS, WATCHED
from distribute_challenge.security import Purpose

__all__ = [
    "REPORT_EVERY",
    "STATES",
    "ClientReport",
    "FailureReport",
    "FunctionReport",
    "GraphReport",
    "MapReport",
    "MessageReport",
    "ProcessReport",
    "Reports",
    "State",
    "WorkerReport",
    "is_watched",
    "report",
    "watch",
]

REPORT_EVERY: Final = 1.0  # Seconds between two reports of a process.
WATCHED_FOR: Final = 10  # Seconds that processes report after a watcher's last look.
KEPT_FOR: Final = 60  # Seconds that the last report stays in Redis.
MOST_KEPT: Final = 4000  # Reports in the stream, about: a minute of 64 workers.
OLDEST: Final = 60.0  # Seconds; an older report was put back by another program, and is dropped.

#: How a message ended.
State = Literal["done", "failed", "lost", "cancelled"]
STATES: Final[tuple[State, ...]] = ("done", "failed", "lost", "cancelled")


class ProcessReport(NamedTuple):
    """A child process of a worker: its id, its memory in bytes (0: unknown), and what it runs.

    ``running`` is the name of the message; empty: it is idle. ``began`` is when that began.
    """

    pid: int
    memory: int
    running: str
    began: float


class MessageReport(NamedTuple):
    """A message that a child process has ended; times are in seconds."""

    name: str
    pid: int
    began: float
    took: float
    state: State


class FailureReport(NamedTuple):
    """A message with calls that failed, or that its process did not survive."""

    name: str
    pid: int
    at: float
    error: str
    traceback: str


class FunctionReport(NamedTuple):
    """The calls of one function and one queue that a client has.

    ``waiting``, with those that wait for other calls, and ``out`` (sent to Redis) are numbers now;
    ``done`` and ``failed`` calls, and the ``seconds`` that they took, are those since the report
    before. A failed call is done, too.
    """

    name: str
    queue: str
    waiting: int
    out: int
    done: int
    failed: int
    seconds: float


class MapReport(NamedTuple):
    """A map that a client iterates: handed out results, failed ones among them, and the total.

    ``total`` is -1 if it is unknown. ``is_open`` is False once, when the map has ended.
    """

    number: int
    name: str
    total: int
    done: int
    failed: int
    is_open: bool


class GraphReport(NamedTuple):
    """A graph that a client has submitted.

    ``calls`` is the number of its calls; ``waiting`` and ``out`` are those that have not ended, as
    in `FunctionReport`. ``results`` is how many have a future that the program knows; ``failed``
    and ``cancelled`` count the ends of these. It ``began`` by Redis' clock, and ``took`` so many
    seconds so far. ``is_open`` is False once, when the graph has ended.
    """

    number: int
    name: str
    calls: int
    waiting: int
    out: int
    results: int
    failed: int
    cancelled: int
    began: float
    took: float
    is_open: bool


@dataclass(frozen=True, kw_only=True)
class WorkerReport:
    """The report of a worker.

    Args:
        name: The worker.
        seen: When it was made, by Redis' clock.
        memory_limit: Bytes that its processes may take together: a limit, or all of the machine.
        processes: Its child processes.
        ended: The last messages that have ended.
        left_out: How many more have ended.
        failures: The first failures.
    """

    kind: ClassVar[str] = "worker"

    name: str
    seen: float
    memory_limit: int
    processes: Sequence[ProcessReport]
    ended: Sequence[MessageReport]
    left_out: int
    failures: Sequence[FailureReport]


@dataclass(frozen=True, kw_only=True)
class ClientReport:
    """The report of a client.

    Args:
        name: Id of the client.
        seen: When it was made, by Redis' clock.
        functions: Its calls by function.
        maps: The maps that it iterates, and those that have ended.
        graphs: The graphs that it has submitted, and those that have ended.
        latencies: Seconds from the sending of a message to its reply, of some messages.
    """

    kind: ClassVar[str] = "client"

    name: str
    seen: float
    functions: Sequence[FunctionReport]
    maps: Sequence[MapReport]
    graphs: Sequence[GraphReport]
    latencies: Sequence[float]


Report = WorkerReport | ClientReport


def watch(connection: Broker) -> None:
    """Ask all workers and clients to report for the next `WATCHED_FOR` seconds.

    Raises:
        redis.RedisError: Redis does not answer, or refuses.
    """
    connection.set(WATCHED, b"", ex=WATCHED_FOR)


def is_watched(connection: Broker) -> bool:
    """Tell whether a dashboard watches.

    Raises:
        redis.RedisError: Redis does not answer, or refuses.
    """
    return bool(connection.exists(WATCHED))


def report(connection: Broker, content: Report) -> None:
    """Add a report to the stream.

    Raises:
        redis.RedisError: Redis does not answer, or refuses.
    """
    said = {field.name: getattr(content, field.name) for field in fields(content)}
    data = json.dumps({"kind": content.kind, **said}).encode()
    sealed = connection.keyring.seal(Purpose.REPORT, [data])
    with connection.pipeline(transaction=False) as pipeline:
        pipeline.xadd(REPORTS, {"report": sealed}, maxlen=MOST_KEPT, approximate=True)
        pipeline.expire(REPORTS, KEPT_FOR)
        pipeline.execute()


class Reports:
    """Reads the stream of reports from where it is now.

    Args:
        connection: To the broker.

    Attributes:
        refused: How many entries were no reports that a holder of the secret has made.

    Raises:
        redis.RedisError: Redis does not answer, or refuses.
    """

    def __init__(self, connection: Broker) -> None:
        self._connection = connection
        self.refused = 0
        last: Any = connection.xrevrange(REPORTS, count=1)
        self._last: bytes = last[0][0] if last else b"0-0"

    def new(self) -> Iterator[Report]:
        """Yield the reports that came since the last time.

        Raises:
            redis.RedisError: Redis does not answer, or refuses.
        """
        found: Any = self._connection.xread({REPORTS: self._last}, count=MOST_KEPT)
        now = self._connection.clock.now()
        for _, entries in found or ():
            for place, content in entries:
                self._last = place
                one = self._opened(content)
                if one is None:
                    self.refused += 1
                elif abs(now - one.seen) < OLDEST:
                    yield one

    def _opened(self, content: dict[bytes, bytes]) -> Report | None:
        sealed = content.get(b"report", b"")
        try:
            return _report_in(bytes(self._connection.keyring.open(Purpose.REPORT, sealed)))
        except (ForgedError, BackendError, TypeError, ValueError, LookupError, RecursionError):
            return None


def _report_in(opened: bytes) -> Report:
    """Return the report in an opened entry.

    Raises:
        ValueError: It is none; or TypeError, LookupError, or RecursionError.
    """
    content = json.loads(opened)
    if not isinstance(content, dict):
        raise ValueError("it says nothing")
    kind = {"worker": WorkerReport, "client": ClientReport}[content.pop("kind")]
    checks = _CHECKS[kind]
    if content.keys() != checks.keys() or not all(
        check(content[name]) for name, check in checks.items()
    ):
        raise ValueError("it is no report")
    rows = _ROWS[kind]
    return kind(  # type: ignore[no-any-return] # one of the two
        **{
            name: [rows[name](*row) for row in value] if name in rows else value
            for name, value in content.items()
        }
    )


T = TypeVar("T")

_number = number_up_to()


def _row(*checks: Check) -> Check:
    def is_row(value: Any) -> bool:
        return (
            isinstance(value, list)
            and len(value) == len(checks)
            and all(check(each) for check, each in zip(checks, value, strict=True))
        )

    return row_of(is_row)


def _total(value: Any) -> bool:
    return type(value) is int and value >= -1


def _state(value: Any) -> bool:
    return value in STATES


_CHECKS: Final[dict[Any, dict[str, Check]]] = {
    WorkerReport: {
        "name": text,
        "seen": seconds,
        "memory_limit": _number,
        "processes": _row(_number, _number, text, seconds),
        "ended": _row(text, _number, seconds, seconds, _state),
        "left_out": _number,
        "failures": _row(text, _number, seconds, text, text),
    },
    ClientReport: {
        "name": text,
        "seen": seconds,
        "functions": _row(text, text, _number, _number, _number, _number, seconds),
        "maps": _row(_number, text, _total, _number, _number, flag),
        "graphs": _row(_number, text, *[_number] * 6, seconds, seconds, flag),
        "latencies": row_of(seconds),
    },
}
_ROWS: Final[dict[Any, dict[str, Callable[..., Any]]]] = {
    WorkerReport: {
        "processes": ProcessReport,
        "ended": MessageReport,
        "failures": FailureReport,
    },
    ClientReport: {"functions": FunctionReport, "maps": MapReport, "graphs": GraphReport},
}
