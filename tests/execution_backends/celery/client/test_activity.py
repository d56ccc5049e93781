"""What a client records while a dashboard watches."""

from array import array
from typing import Any

import pytest

from distribute_challenge import compute_this
from distribute_challenge.core import running_maps
from distribute_challenge.core.messages import FunctionPayload, Reply
from distribute_challenge.core.options import CallOptions
from distribute_challenge.core.outcome import UNBEGUN, Failure
from distribute_challenge.core.running_graphs import graphs_of
from distribute_challenge.core.section import Section
from distribute_challenge.execution_backends.celery.broker.reports import FunctionReport
from distribute_challenge.execution_backends.celery.client import activity as module
from distribute_challenge.execution_backends.celery.client.activity import Activity
from distribute_challenge.execution_backends.celery.client.calls import SentBatch
from distribute_challenge.execution_backends.celery.client.outbox import Group, _GroupKey
from distribute_challenge.execution_backends.local import LocalExecutionBackend
from distribute_challenge.settings import DEFAULT_QUEUE
from tests.execution_backends.celery.client.test_graph_calls import Engine

FAILED = Failure(ValueError())


@compute_this
def add(x: int, y: int = 1) -> int:
    return x + y


def group(name: str) -> Group:
    key = _GroupKey(name, None, 0, "queue", 0, None, False, False)
    return Group(key, FunctionPayload(name, b"", name), CallOptions(queue="queue"))


def batch_of(*names: str) -> SentBatch:
    """A message with one call of each function."""
    first, *rest = map(group, names)
    batch = SentBatch("c-1", first, [object()] * len(names), 1.0)  # type: ignore[list-item]
    batch.following = [(each, 1) for each in rest]
    batch.sent = 9.0
    return batch


def reply(*finishes: float, first: int = 0, ended: bool = True, kind: str = "error") -> Reply:
    sections = [Section(kind, 1, b"")]
    times = array("d", finishes)
    return Reply("c-1", "w", 10.0, first, sections, ended=ended, finishes=times)


def functions(activity: Activity, calls: Any = {}) -> list[FunctionReport]:  # noqa: B006
    return list(activity.report("c", 1000.0, calls).functions)


def test_calls_are_counted_by_function_with_their_failures_and_seconds() -> None:
    """Those that were not begun are not counted."""
    activity = Activity(sender=None)
    batch = batch_of("one", "two", "three")
    activity.answered(batch, reply(11.0, 13.0, 14.0), [1, FAILED, UNBEGUN], 15.0)
    assert functions(activity, {("one", "queue"): (7, 6)}) == [
        ("one", "queue", 7, 6, 1, 0, 1.0),
        ("two", "queue", 0, 0, 1, 1, 2.0),
    ]
    assert functions(activity) == []
    activity.answered(batch_of("one"), reply(11.0), [UNBEGUN], 15.0)
    assert functions(activity) == []


def test_only_the_last_reply_of_a_message_has_a_latency() -> None:
    activity = Activity(sender=None)
    activity.answered(batch_of("one"), reply(11.0, ended=False), [1], 12.0)
    activity.answered(batch_of("one"), reply(11.0), [1], 15.0)
    assert activity.report("c", 0.0, {}).latencies == [6.0]


def test_a_chunk_counts_as_its_calls() -> None:
    activity = Activity(sender=None)
    activity.chunk_answered(batch_of("one"), reply(12.0), [1, 2, FAILED], 15.0)
    assert functions(activity) == [("one", "queue", 0, 0, 3, 1, 2.0)]
    # Of values alone, only earlier replies may have had failures.
    activity.chunk_answered(batch_of("one"), reply(12.0, kind="values"), [1, 2], 15.0)
    last = reply(12.0, first=1, kind="values")
    activity.chunk_answered(batch_of("one"), last, [FAILED, 2], 15.0)
    assert functions(activity) == [("one", "queue", 0, 0, 4, 1, 4.0)]


def test_calls_that_are_lost_count_as_failed() -> None:
    activity = Activity(sender=None)
    activity.failed(group("one"), 3)
    assert functions(activity) == [("one", "queue", 0, 0, 3, 3, 0.0)]


def test_long_reports_are_cut(monkeypatch: Any) -> None:
    """The functions with most calls remain."""
    monkeypatch.setattr(module, "MOST_FUNCTIONS", 1)
    calls = {("few", "queue"): (1, 0), ("many", "queue"): (5, 1)}
    assert [row.name for row in functions(Activity(None), calls)] == ["many"]


def test_maps_of_the_client_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_maps, "_maps", {})  # Without those that other tests left open.
    square = compute_this(lambda x: x * x, backend=LocalExecutionBackend())
    results = square.map([1, 2, 3], batch_size=1)
    endless = square.map(x for x in [1, 2])
    next(results), next(endless)
    report = Activity(sender=None).report("c", 0.0, {})
    totals = [(row.total, row.done, row.failed) for row in report.maps]
    assert {(3, 1, 0), (-1, 1, 0)} <= set(totals)
    assert Activity(sender=object()).report("c", 0.0, {}).maps == []


def test_the_end_of_a_map_is_reported_once() -> None:
    """With all of its results, though the map is deleted."""
    square = compute_this(lambda x: x * x, backend=LocalExecutionBackend())
    assert list(square.map([1, 2, 3, 4, 5, 6, 7])) == [1, 4, 9, 16, 25, 36, 49]
    activity = Activity(sender=None)
    (ended,) = [row for row in activity.report("c", 0.0, {}).maps if row.total == 7]
    assert ended[2:] == (7, 7, 0, False)
    assert not [row for row in activity.report("c", 0.0, {}).maps if not row.is_open]


def test_graphs_of_the_client_are_reported_and_their_end_once() -> None:
    """Calls that wait for others count with their function."""
    engine = Engine()
    future = add(add(1), add(2)).submit(engine)
    activity = Activity(sender=engine)
    activity.watch(True)
    activity.graph_calls.count(lambda: engine.calls)
    report = activity.report("c", 1000.0, {("add", DEFAULT_QUEUE): (2, 0)})
    (graph,) = report.graphs
    assert graph[1:8] == ("add", 3, 3, 0, 1, 0, 0)
    assert graph.is_open
    assert graph.began == pytest.approx(1000.0 - graph.took, abs=1.0)
    assert [row[:4] for row in report.functions] == [("add", DEFAULT_QUEUE, 3, 0)]
    (running,) = graphs_of(engine)
    running.calls, running.unsent, running.out = 13, 8, 2  # As a Dask computation counts its own.
    (graph,) = activity.report("c", 1000.0, {}).graphs
    assert graph[2:5] == (13, 11, 2)
    running.calls = 3
    future.cancel(force=True)
    (graph,) = activity.report("c", 1000.0, {}).graphs
    assert graph[1:8] == ("add", 3, 0, 0, 1, 0, 1)
    assert not graph.is_open
    assert activity.report("c", 1000.0, {}).graphs == []
    activity.watch(False)
    assert not activity.graph_calls.held


def test_recorded_activity_is_forgotten_when_the_watch_ends() -> None:
    activity = Activity(sender=None)
    activity.watch(True)
    activity.answered(batch_of("one"), reply(11.0), [1], 15.0)
    activity.watch(True)
    assert activity._ended
    activity.watch(False)
    assert functions(activity) == []
