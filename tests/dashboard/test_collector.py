"""Snapshots of a real cluster."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from distribute_challenge import LocalCluster, Queue
from distribute_challenge.dashboard import collector as module
from distribute_challenge.dashboard.cluster_state import backlog
from distribute_challenge.dashboard.collector import Collector
from distribute_challenge.dashboard.snapshot import Snapshot
from distribute_challenge.errors import BrokerUnreachableError, WorkerLostError
from distribute_challenge.execution_backends.celery.broker import presence
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.keys import (
    CLIENTS,
    QUEUES,
    REPORTS,
    WATCHED,
    WORKERS,
    queue_key,
)
from distribute_challenge.execution_backends.celery.broker.presence import ClientPresence
from distribute_challenge.execution_backends.item_queue import queue_id
from tests.dashboard.calls import die, len_of, refuse, square, total, wait
from tests.processes import wait_until

pytestmark = [pytest.mark.celery, pytest.mark.slow]


def until(
    collector: Collector, condition: Callable[[Snapshot], object], what: str = "a snapshot"
) -> Snapshot:
    """Look until a snapshot is as it should be; that snapshot."""
    taken: list[Snapshot] = []

    def holds() -> object:
        taken[:] = [collector.look()]
        return condition(taken[0])

    wait_until(holds, what)
    return taken[0]


def watched(collector: Collector) -> None:
    """Wait until the worker and the client report."""
    square(2).compute()  # Starts the client.
    until(
        collector,
        lambda now: now.workers[0].busy is not None and collector._history.clients,
        "reports",
    )


def test_processes_report_activity_only_while_a_dashboard_watches(
    cluster: LocalCluster, collector: Collector
) -> None:
    square(2).compute()
    with connect(cluster.broker_url) as connection:
        assert not connection.exists(WATCHED, REPORTS)
        watched(collector)
        assert connection.exists(WATCHED, REPORTS) == 2


def test_running_calls_are_shown_with_their_processes(collector: Collector, tmp_path: Path) -> None:
    """What waits is shown as well."""
    watched(collector)
    path = tmp_path / "go"
    calls = [wait(path).submit() for _ in range(40)]
    try:
        now = until(
            collector,
            lambda now: (
                now.totals.busy == 2
                and now.totals.unfinished_calls == 40
                # A report may be made while the calls are.
                and any((row.name, row.waiting + row.out) == ("wait", 40) for row in now.functions)
            ),
            "two busy processes and all calls",
        )
    finally:
        path.touch()
    assert [call.result() for call in calls] == ["done"] * 40
    assert [lane.bars[-1][2:] for lane in now.lanes] == [("wait", None, 1)] * 2
    (worker,) = now.workers
    assert (worker.state, worker.processes, worker.busy) == ("here", 2, 2)
    assert 0 < (worker.memory or 0) <= (worker.memory_limit or 0)
    assert next(row.done for row in now.functions if row.name == "wait") == 0
    (queue,) = now.queues
    assert (queue.unfinished_calls, queue.processes) == (40, 2)
    assert now.redis.memory > 0
    after = until(
        collector,
        lambda now: any(row[:4] == ("wait", 0, 0, 40) for row in now.functions),
        "the end of the calls",
    )
    assert after.totals.calls >= 40
    until(collector, lambda now: any(point.calls for point in now.points), "a second with calls")


def test_unsent_calls_of_a_running_map_are_counted_as_unfinished(
    cluster: LocalCluster, collector: Collector
) -> None:
    watched(collector)
    results = square.map(range(100_000), batch_size=10)
    next(results)
    now = until(collector, lambda now: now.maps and now.maps[0].done, "a map")
    assert now.maps[0][2:] == (100_000, 10, 0, True)
    assert 90_000 < now.totals.unfinished_calls < 100_000
    with connect(cluster.broker_url) as connection:
        assert backlog(connection)["unfinished_calls"] > 90_000
    results.close()
    until(collector, lambda now: not now.totals.unfinished_calls, "the end of the map")


def test_a_graph_s_progress_is_shown_with_calls_that_wait_for_others(
    collector: Collector, tmp_path: Path
) -> None:
    watched(collector)
    path = tmp_path / "go"
    before = len(collector.look().graphs)
    future = total([square(len_of(wait(path))), *[square(x) for x in range(5)]]).submit()
    try:
        now = until(
            collector,
            lambda now: len(now.graphs) > before and now.graphs[0].ended == 5,
            "a graph of which some calls have ended",
        )
    finally:
        path.touch()
    row = now.graphs[0]
    assert (row.name, row.calls, row.out, row.waiting) == ("total", 9, 1, 3)
    assert (row.results, row.failed, row.is_open) == (1, 0, True)
    assert abs(now.at - row.began - row.took) < 5
    held = {each.name: each.waiting for each in now.functions}
    assert (held["len_of"], held["total"]) == (1, 1)
    assert future.result() == 6
    now = until(collector, lambda now: not now.graphs[0].is_open, "the end of the graph")
    assert (now.graphs[0].ended, now.graphs[0].waiting) == (9, 0)


def test_named_queues_of_items_are_shown(
    cluster: LocalCluster, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was deleted just now, and one whose key has another type, are left out."""
    jobs: Queue[int] = Queue("jobs", maxsize=10, backend=cluster.backend)
    others: Queue[int] = Queue("others", backend=cluster.backend)
    jobs.put_many([1, 2, 3])
    jobs.get()
    with connect(cluster.broker_url) as connection:
        connection.sadd(QUEUES, queue_id("deleted"), queue_id("strange"))
        connection.set(queue_key("state", queue_id("strange")), b"x")
        try:
            now = collector.look()
            monkeypatch.setattr(module, "MOST_ITEM_QUEUES", 2)
            fewer = collector.look()
        finally:
            connection.delete(queue_key("state", queue_id("strange")))
            connection.srem(QUEUES, queue_id("deleted"), queue_id("strange"))
            jobs.delete()
            others.delete()
    assert now.item_queues == [("jobs", 2, 3, 0, 10), ("others", 0, 0, 0, 0)]
    assert now.item_queues_left_out == 0
    assert (fewer.item_queues, fewer.item_queues_left_out) == ([("jobs", 2, 3, 0, 10)], 2)


def test_failures_are_shown_with_their_tracebacks(collector: Collector) -> None:
    watched(collector)
    with pytest.raises(ValueError, match="no 3"):
        refuse(3).submit().result()
    with pytest.raises(WorkerLostError):
        die().submit().result()
    now = until(
        collector,
        lambda now: now.totals.failed == 2 and now.totals.lost_messages and now.failures[1:],
        "two failures",
    )
    lost, raised = now.failures[:2]
    assert raised.function == "refuse"
    assert raised.error == "ValueError: <b>no 3</b>"
    assert 'raise ValueError(f"<b>no {x}</b>")' in raised.traceback
    assert "the worker process died" in lost.error
    assert "signal: SIGKILL" in lost.traceback
    states = {bar.state for lane in now.lanes for bar in lane.bars}
    assert {"failed", "lost"} <= states


def test_a_snapshot_is_json(collector: Collector) -> None:
    now = until(collector, lambda now: now.workers)
    content = json.loads(now.to_json())
    assert content["workers"][0]["name"] == now.workers[0].name
    assert content["totals"]["processes"] == 2
    assert "secret" not in now.to_json()


def test_calls_in_a_queue_without_workers_are_noted(
    cluster: LocalCluster, collector: Collector
) -> None:
    """So are workers with another secret, and what was not reported with this one."""
    with connect(cluster.broker_url) as connection:
        presence.show(connection, ClientPresence("waiting", 3, {"gpu": 3}))
        connection.hset(WORKERS, "stranger", b"%.3f x" % connection.clock.now())
        collector.look()
        connection.xadd(REPORTS, {"report": b"x"})
        try:
            notes = collector.look().notes
            assert backlog(connection)["queues"]["gpu"] == {
                "unfinished_calls": 3,
                "messages": 0,
                "processes": 0,
            }
        finally:
            connection.hdel(CLIENTS, "waiting")
            connection.hdel(WORKERS, "stranger")
    assert notes == [
        "workers with another secret, which take no calls: 1",
        "reports that no holder of the secret has made: 1",
        "no worker serves the queue 'gpu'; calls that wait there: 3",
    ]


def test_a_cluster_that_is_gone_is_an_error() -> None:
    with LocalCluster(workers=1) as cluster:
        collector = Collector(cluster.broker_url)
    with pytest.raises(BrokerUnreachableError):
        collector.look()
    collector.close()
