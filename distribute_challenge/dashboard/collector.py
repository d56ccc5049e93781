"""Takes snapshots of a cluster, one after the other."""

from typing import Final

from distribute_challenge.dashboard.cluster_state import ClusterState, item_queues, redis_row
from distribute_challenge.dashboard.history import History
from distribute_challenge.dashboard.lanes import WINDOW
from distribute_challenge.dashboard.roster import Roster
from distribute_challenge.dashboard.snapshot import ClientRow, Snapshot, Totals
from distribute_challenge.execution_backends.celery.broker.connection import connect, translated
from distribute_challenge.execution_backends.celery.broker.reports import (
    Reports,
    WorkerReport,
    watch,
)
from distribute_challenge.settings import masked

__all__ = ["Collector"]

ANSWER_WITHIN: Final = 5.0  # Seconds that Redis has for each answer.
MOST_FUNCTIONS: Final = 40  # Rows that are shown.
MOST_CLIENTS: Final = 40
MOST_GRAPHS: Final = 40
MOST_ITEM_QUEUES: Final = 40
MOST_WORKERS: Final = 100


class Collector:
    """Watches one cluster; each `look` keeps the watch going for ten seconds.

    Guarantees: one thread at a time uses it.

    Args:
        url: The broker.

    Raises:
        OptionError: The URL is of no kind that can be used.
        SecretError: There is no secret for this cluster.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection = connect(url, answer_within=ANSWER_WITHIN)
        _ = self._connection.keyring  # An error now, not at the first look.
        self._history = History()
        self._roster = Roster()
        self._reports: Reports | None = None
        self._since = 0.0

    def look(self) -> Snapshot:
        """Watch on, and return what is to be seen now.

        Raises:
            BrokerUnreachableError: Redis does not answer, or refuses.
        """
        with translated(self._url):
            return self._look()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _look(self) -> Snapshot:
        connection = self._connection
        if self._reports is None:
            self._reports = Reports(connection)
            self._since = connection.clock.ask(connection)
        watch(connection)
        history, roster = self._history, self._roster
        for report in self._reports.new():
            if isinstance(report, WorkerReport):
                history.take_worker(report)
            else:
                history.take_client(report)
        state = ClusterState.read(connection)
        now = connection.clock.now()
        roster.update(state.workers, now)
        history.forget(
            {worker.name for worker in state.workers},
            {client.name for client in state.clients},
            now,
        )
        workers = roster.rows(history.workers, now)
        lanes, lanes_left_out = history.lanes.rows(history.workers, now)
        functions, graphs = history.functions(), history.graphs()
        clients = sorted(state.clients, key=lambda client: -client.waiting)
        queues, queues_left_out = item_queues(connection, MOST_ITEM_QUEUES)
        return Snapshot(
            at=now,
            watched_since=self._since,
            window=WINDOW,
            broker=masked(self._url),
            totals=Totals(
                workers=len(state.workers),
                processes=sum(worker.concurrency for worker in state.workers),
                busy=sum(row.busy or 0 for row in workers),
                clients=len(clients),
                unfinished_calls=sum(each.waiting for each in clients) + state.detached_calls,
                detached_calls=state.detached_calls,
                calls=sum(row.done for row in functions),
                failed=sum(row.failed for row in functions),
                messages=history.messages.total(),
                lost_messages=history.messages["lost"],
            ),
            redis=redis_row(connection),
            workers=workers[:MOST_WORKERS],
            workers_left_out=max(0, len(workers) - MOST_WORKERS),
            lanes=lanes,
            lanes_left_out=lanes_left_out,
            functions=functions[:MOST_FUNCTIONS],
            functions_left_out=max(0, len(functions) - MOST_FUNCTIONS),
            maps=history.maps(),
            graphs=graphs[:MOST_GRAPHS],
            graphs_left_out=max(0, len(graphs) - MOST_GRAPHS),
            queues=state.queues,
            item_queues=queues,
            item_queues_left_out=queues_left_out,
            clients=[
                ClientRow(
                    name=client.name,
                    host=client.host,
                    pid=client.pid,
                    python=client.python,
                    library=client.library,
                    unfinished_calls=client.waiting,
                )
                for client in clients[:MOST_CLIENTS]
            ],
            clients_left_out=max(0, len(clients) - MOST_CLIENTS),
            # Reports of several workers come in any order.
            failures=sorted(history.failures, key=lambda row: row.at, reverse=True),
            failures_left_out=history.failure_count - len(history.failures),
            points=history.points(now),
            notes=self._notes(state, self._reports),
        )

    @staticmethod
    def _notes(state: ClusterState, reports: Reports) -> list[str]:
        notes = []
        if state.strangers:
            notes.append(f"workers with another secret, which take no calls: {state.strangers}")
        if reports.refused:
            notes.append(f"reports that no holder of the secret has made: {reports.refused}")
        notes += [
            f"no worker serves the queue {queue.name!r}; calls that wait there: "
            f"{queue.unfinished_calls}"
            for queue in state.queues
            if queue.unfinished_calls and not queue.processes
        ]
        return notes
