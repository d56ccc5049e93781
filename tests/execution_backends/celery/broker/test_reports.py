"""What workers and clients report while a dashboard watches."""

import json
import time
from dataclasses import replace

import pytest

from distribute_challenge.execution_backends.celery.broker import reports
from distribute_challenge.execution_backends.celery.broker.connection import Broker
from distribute_challenge.execution_backends.celery.broker.keys import REPORTS, WATCHED
from distribute_challenge.execution_backends.celery.broker.reports import (
    ClientReport,
    FailureReport,
    FunctionReport,
    GraphReport,
    MapReport,
    MessageReport,
    ProcessReport,
    Reports,
    WorkerReport,
)
from distribute_challenge.security import Purpose

NOW = time.time()
WORKER = WorkerReport(
    name="w",
    seen=NOW,
    memory_limit=1000,
    processes=[ProcessReport(1, 10, "square ×5", NOW), ProcessReport(2, 0, "", 0.0)],
    ended=[MessageReport("square", 1, NOW, 0.5, "failed")],
    left_out=3,
    failures=[FailureReport("square", 1, NOW, "ValueError: 1", "Traceback")],
)
CLIENT = ClientReport(
    name="c",
    seen=NOW,
    functions=[FunctionReport("square", "queue", 5, 4, 3, 1, 0.5)],
    maps=[MapReport(1, "square", -1, 3, 1, True)],
    graphs=[GraphReport(1, "total", 9, 3, 2, 1, 0, 0, NOW, 0.5, True)],
    latencies=[0.1, 2],
)


@pytest.fixture(autouse=True)
def recent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reports above are recent, however long the tests before have taken."""
    monkeypatch.setattr(reports, "OLDEST", time.time() - NOW + 1000)


def test_is_watched_is_true_for_some_seconds_after_watch(connection: Broker) -> None:
    """For some seconds, if it then leaves without a word."""
    assert not reports.is_watched(connection)
    reports.watch(connection)
    assert reports.is_watched(connection)
    assert 0 < connection.ttl(WATCHED) <= 10


def test_a_reader_gets_each_report_made_after_its_start_once(connection: Broker) -> None:
    reports.report(connection, replace(WORKER, name="earlier"))
    reader = Reports(connection)
    assert list(reader.new()) == []
    reports.report(connection, WORKER)
    reports.report(connection, CLIENT)
    assert list(reader.new()) == [WORKER, CLIENT]
    assert list(reader.new()) == []
    assert 0 < connection.ttl(REPORTS) <= 60
    assert reader.refused == 0


def sealed(connection: Broker, content: object) -> bytes:
    return connection.keyring.seal(Purpose.REPORT, [json.dumps(content).encode()])


def test_forged_or_malformed_reports_are_refused_and_counted(connection: Broker) -> None:
    """An old report that another program has put back is dropped."""
    reader = Reports(connection)
    whole = {"kind": "client", **vars(CLIENT)}
    entries = [
        b"not sealed",
        connection.keyring.seal(Purpose.HOLDER, [b"{}"]),
        sealed(connection, ["no report"]),
        sealed(connection, {}),
        sealed(connection, {**whole, "kind": "broker"}),
        sealed(connection, {**whole, "more": 1}),
        sealed(connection, {**whole, "maps": [[1, "square", -2, 3, 1, True]]}),
        sealed(connection, {**whole, "functions": [[1]]}),
        sealed(connection, {**whole, "latencies": ["0.1"]}),
        connection.keyring.seal(Purpose.REPORT, [b"[" * 100_000]),
    ]
    for entry in entries:
        connection.xadd(REPORTS, {"report": entry})
    connection.xadd(REPORTS, {"other": b"field"})
    reports.report(connection, replace(CLIENT, seen=NOW - 36_000))
    reports.report(connection, CLIENT)
    assert list(reader.new()) == [CLIENT]
    assert reader.refused == len(entries) + 1


def test_the_stream_is_bounded(connection: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "MOST_KEPT", 100)
    for _ in range(500):
        reports.report(connection, CLIENT)
    assert connection.xlen(REPORTS) <= 300  # Redis cuts whole blocks.
