"""What has happened since a dashboard watches, from the reports of workers and clients."""

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from statistics import median
from typing import Any, Final, TypeAlias

from distribute_challenge.dashboard.lanes import WINDOW, Lanes, function_of
from distribute_challenge.dashboard.snapshot import (
    FailureRow,
    FunctionRow,
    GraphRow,
    MapRow,
    Point,
)
from distribute_challenge.execution_backends.celery.broker.reports import (
    ClientReport,
    GraphReport,
    MapReport,
    WorkerReport,
)

__all__ = ["History"]

SECONDS: Final = 300  # That the curves show.
MOST_FUNCTIONS: Final = 5000  # That are kept apart; a program may make functions without end.
MOST_FAILURES: Final = 100
MOST_MAPS: Final = 20
MOST_GRAPHS: Final = 20
MOST_LATENCIES: Final = 500  # Of one second.
OTHERS: Final = "(others)"

#: The client of a map or a graph, and its number there.
_Key: TypeAlias = tuple[str, int]


class _Second:
    __slots__ = ("calls", "failed", "latencies")

    def __init__(self) -> None:
        self.calls = self.failed = 0.0
        self.latencies: list[float] = []


class History:
    """Adds up reports; one thread at a time uses it.

    Attributes:
        workers: The latest report of each worker.
        clients: The latest report of each client.
        lanes: What ran in the processes.
        failures: The latest failures, the oldest first.
        failure_count: How many there were.
        messages: Number of ended messages, by how they ended.
    """

    def __init__(self) -> None:
        self.workers: dict[str, WorkerReport] = {}
        self.clients: dict[str, ClientReport] = {}
        self.lanes = Lanes()
        self.failures: deque[FailureRow] = deque(maxlen=MOST_FAILURES)
        self.failure_count = 0
        self.messages: Counter[str] = Counter()
        self._ended: dict[str, tuple[int, int, float]] = {}
        self._maps: dict[_Key, MapReport] = {}
        self._graphs: dict[_Key, GraphReport] = {}
        self._seconds: dict[int, _Second] = {}

    def take_worker(self, report: WorkerReport) -> None:
        """Take in the report of a worker."""
        self.workers[report.name] = report
        self.lanes.take(report)
        self.messages.update(message.state for message in report.ended)
        self.messages["done"] += report.left_out
        for failure in report.failures:
            self.failure_count += 1
            self.failures.append(
                FailureRow(
                    failure.at,
                    function_of(failure.name),
                    report.name,
                    failure.pid,
                    failure.error,
                    failure.traceback,
                )
            )

    def take_client(self, report: ClientReport) -> None:
        """Take in the report of a client."""
        before = self.clients.get(report.name)
        self.clients[report.name] = report
        calls = failed = 0
        for row in report.functions:
            calls += row.done
            failed += row.failed
            known = row.name in self._ended or len(self._ended) < MOST_FUNCTIONS
            name = row.name if known else OTHERS
            done, bad, took = self._ended.get(name, (0, 0, 0.0))
            self._ended[name] = done + row.done, bad + row.failed, took + row.seconds
        for running in report.maps:
            self._maps[report.name, running.number] = running
        for graph in report.graphs:
            self._graphs[report.name, graph.number] = graph
        since = report.seen - 1 if before is None else max(before.seen, report.seen - 10)
        for number, share in _shares(since, report.seen):
            second = self._second(number)
            second.calls += calls * share
            second.failed += failed * share
        latencies = self._second(int(report.seen)).latencies
        latencies.extend(report.latencies[: MOST_LATENCIES - len(latencies)])

    def forget(self, workers: Collection[str], clients: Collection[str], now: float) -> None:
        """Drop what is old, and the last reports of those that are gone.

        Args:
            workers: Names of the workers that are here.
            clients: Names of the clients that are here.
            now: The time, in seconds.
        """
        self.workers = {name: each for name, each in self.workers.items() if name in workers}
        self.clients = {name: each for name, each in self.clients.items() if name in clients}
        self.lanes.forget_before(now - WINDOW)
        for number in [number for number in self._seconds if number < now - SECONDS]:
            del self._seconds[number]
        _forget_ended(self._maps, self._open_maps(), MOST_MAPS)
        _forget_ended(self._graphs, self._open_graphs(), MOST_GRAPHS)

    def functions(self) -> list[FunctionRow]:
        """Return the functions, those with most unfinished calls first, and then most ended ones."""
        waiting: Counter[str] = Counter()
        out: Counter[str] = Counter()
        for report in self.clients.values():
            for row in report.functions:
                waiting[row.name] += row.waiting
                out[row.name] += row.out
        rows = [
            FunctionRow(name, waiting[name], out[name], *self._ended.get(name, (0, 0, 0.0)))
            for name in {**waiting, **self._ended}
        ]
        rows = [row for row in rows if row.waiting or row.out or row.done]
        return sorted(rows, key=lambda row: (-row.waiting - row.out, -row.done, row.name))

    def maps(self) -> list[MapRow]:
        """Return the maps, the latest first."""
        open_maps = self._open_maps()
        rows = [
            MapRow(
                running.name,
                key[0],
                None if running.total < 0 else running.total,
                running.done,
                running.failed,
                key in open_maps,
            )
            for key, running in self._maps.items()
        ]
        return rows[::-1]

    def graphs(self) -> list[GraphRow]:
        """Return the graphs, the latest first."""
        open_graphs = self._open_graphs()
        rows = [
            _graph_row(key[0], graph, is_open=key in open_graphs)
            for key, graph in self._graphs.items()
        ]
        return rows[::-1]

    def points(self, now: float) -> list[Point]:
        """Return the last seconds, the oldest first; the current one is not over yet.

        Args:
            now: The time, in seconds.
        """
        # Reports come once a second, so the last one or two seconds are not complete.
        last = int(now) - 2
        first = max(last - SECONDS, min(self._seconds, default=last))
        return [self._point(number) for number in range(first, last)]

    def _point(self, number: int) -> Point:
        second = self._seconds.get(number) or _Second()
        times = second.latencies
        return Point(
            number,
            round(second.calls, 1),
            round(second.failed, 1),
            round(median(times), 4) if times else None,
            round(max(times), 4) if times else None,
        )

    def _second(self, number: int) -> _Second:
        return self._seconds.setdefault(number, _Second())

    # A client that is gone, or has dropped a map, does not tell its end: what is open is what the
    # latest reports say.

    def _open_maps(self) -> set[_Key]:
        return self._open(lambda report: report.maps)

    def _open_graphs(self) -> set[_Key]:
        return self._open(lambda report: report.graphs)

    def _open(self, of: Callable[[ClientReport], Iterable[MapReport | GraphReport]]) -> set[_Key]:
        return {
            (name, each.number)
            for name, report in self.clients.items()
            for each in of(report)
            if each.is_open
        }


def _forget_ended(kept: dict[_Key, Any], open: set[_Key], most: int) -> None:  # noqa: A002
    """Forget the oldest that have ended, if there are more than so many."""
    ended = [key for key in kept if key not in open]
    for key in ended[: max(0, len(kept) - most)]:
        del kept[key]


def _graph_row(client: str, graph: GraphReport, *, is_open: bool) -> GraphRow:
    has_values = is_open or not (graph.failed or graph.cancelled)
    return GraphRow(
        name=graph.name,
        client=client,
        calls=graph.calls,
        ended=max(0, graph.calls - graph.out - graph.waiting) if has_values else None,
        out=graph.out,
        waiting=graph.waiting,
        results=graph.results,
        failed=graph.failed,
        cancelled=graph.cancelled,
        began=graph.began,
        took=graph.took,
        is_open=is_open,
    )


def _shares(since: float, until: float) -> Iterator[tuple[int, float]]:
    """Yield the seconds between two times, each with its share of the time between them."""
    length = until - since
    if length <= 0:
        yield int(until), 1.0
        return
    number = int(since)
    while number < until:
        yield number, (min(until, number + 1) - max(since, number)) / length
        number += 1
