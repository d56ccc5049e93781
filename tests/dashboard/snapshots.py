"""A snapshot with something in each of its parts, for tests."""

from dataclasses import replace
from typing import Any

from distribute_challenge.dashboard.snapshot import (
    Bar,
    ClientRow,
    FailureRow,
    FunctionRow,
    GraphRow,
    ItemQueueRow,
    Lane,
    MapRow,
    Point,
    QueueRow,
    RedisRow,
    Snapshot,
    Totals,
    WorkerRow,
)
from tests.dashboard.reports import NOW

__all__ = ["snapshot"]


def snapshot(**fields: Any) -> Snapshot:
    running = Bar(NOW - 3, 3.0, "fit", None, 1)
    ended = Bar(NOW - 5, 1.0, "square", "done", 4)
    whole = Snapshot(
        at=NOW,
        watched_since=NOW - 30,
        window=60.0,
        broker="redis://host",
        totals=Totals(1, 2, 1, 1, 70, 2, 30, 3, 12, 1),
        redis=RedisRow("7.2", 2_000_000, 0, 5, 100.0),
        workers=[
            WorkerRow("w@vm", "here", 2, 1, 200, 1000, ["queue"], "3.11", "0.1", 7, 1.0, 4),
            WorkerRow("x@vm", "lost", 2, None, None, None, ["queue"], "3.11", "0.1", 8, 99.0, 0),
        ],
        workers_left_out=0,
        lanes=[
            Lane("w@vm", 1, 100, True, [ended, running], ()),
            Lane("w@vm", 2, 100, True, [ended], ()),
        ],
        lanes_left_out=0,
        functions=[
            FunctionRow("square", 40, 10, 30, 3, 1.5),
            FunctionRow('a "b"\\\n', 0, 20, 0, 0, 0.0),
        ],
        functions_left_out=2,
        maps=[MapRow("square", "c", 80, 20, 3, True), MapRow("fit", "c", None, 0, 0, True)],
        graphs=[
            GraphRow("total", "c", 20, 10, 4, 6, 1, 0, 0, NOW - 3, 3.25, True),
            GraphRow("total", "d", 10, 5, 5, 0, 5, 2, 0, NOW - 3, 3.0, True),
            GraphRow("mean", "c", 8, None, 0, 0, 1, 1, 0, NOW - 9, 2.0, False),
        ],
        graphs_left_out=3,
        queues=[QueueRow("queue", 6, 70, 2)],
        item_queues=[ItemQueueRow("jobs", 3, 5, 1, 12), ItemQueueRow("all\n", 2, 2, 0, 0)],
        item_queues_left_out=4,
        clients=[ClientRow("c", "vm", 9, "3.11", "0.1", 70)],
        clients_left_out=0,
        failures=[FailureRow(NOW - 1, "square", "w@vm", 1, "ValueError: 1", "Traceback")],
        failures_left_out=0,
        points=[
            Point(NOW - 3, 10.0, 1.0, 0.1, 0.2),
            Point(NOW - 2, 20.0, 2.0, None, None),
        ],
        notes=["something"],
    )
    return replace(whole, **fields)
