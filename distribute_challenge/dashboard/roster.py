"""The workers that a dashboard shows, with those that are gone since it watches."""

from collections.abc import Iterable, Mapping

from distribute_challenge.dashboard.snapshot import WorkerRow, WorkerState
from distribute_challenge.execution_backends.celery.broker.presence import (
    BEAT,
    STALE,
    WorkerPresence,
)
from distribute_challenge.execution_backends.celery.broker.reports import WorkerReport

__all__ = ["Roster"]

SILENT_AFTER = 3 * BEAT  # Seconds without a sign of life; a busy machine may delay one or two.
SHOWN_FOR = 600.0  # Seconds that a worker is shown which is gone.
MOST_GONE = 20  # Such workers that are shown; a cluster that scales has many.


class Roster:
    """Knows the workers by what they show of themselves.

    A worker that ends in order takes its presence back. One that was killed leaves it behind, until
    it is so old that a reader removes it.
    """

    def __init__(self) -> None:
        self._known: dict[str, WorkerPresence] = {}
        self._at = 0.0  # When these were seen.
        self._gone: dict[str, tuple[WorkerPresence, float, WorkerState]] = {}

    def update(self, present: Iterable[WorkerPresence], now: float) -> None:
        """Take in which workers are present.

        Args:
            present: They.
            now: The time, in seconds.
        """
        before, self._known = self._known, {worker.name: worker for worker in present}
        for name, worker in before.items():
            if name not in self._known:
                age = worker.age + now - self._at
                state: WorkerState = "lost" if age >= STALE else "ended"
                self._gone[name] = worker, now, state
        self._at = now
        self._gone = {
            name: gone
            for name, gone in self._gone.items()
            if name not in self._known and now - gone[1] < SHOWN_FOR
        }
        for name in list(self._gone)[: len(self._gone) - MOST_GONE]:
            del self._gone[name]

    def rows(self, reports: Mapping[str, WorkerReport], now: float) -> list[WorkerRow]:
        """Return a row for each worker, first those that are silent, and last those that are gone.

        Args:
            reports: The latest reports, by worker.
            now: The time, in seconds.
        """
        here = [
            _row(
                worker,
                "silent" if worker.age > SILENT_AFTER else "here",
                reports.get(name),
                worker.age,
            )
            for name, worker in sorted(self._known.items())
        ]
        here.sort(key=lambda row: row.state != "silent")
        gone = [
            _row(worker, state, None, worker.age + now - since)
            for worker, since, state in self._gone.values()
        ]
        return here + gone


def _row(
    worker: WorkerPresence, state: WorkerState, report: WorkerReport | None, age: float
) -> WorkerRow:
    processes = None if report is None else report.processes
    return WorkerRow(
        name=worker.name,
        state=state,
        processes=worker.concurrency,
        busy=None if processes is None else sum(bool(each.running) for each in processes),
        memory=None if processes is None else sum(each.memory for each in processes),
        memory_limit=None if report is None else report.memory_limit,
        queues=worker.queues,
        python=worker.python,
        library=worker.library,
        pid=worker.pid,
        age=round(max(0.0, age), 1),
        refused=worker.refused,
    )
