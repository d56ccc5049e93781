"""What ran in each process, as bars."""

import pytest

from distribute_challenge.dashboard import lanes as module
from distribute_challenge.dashboard.lanes import WINDOW, Lanes
from tests.dashboard.reports import NOW, message, process, worker


def test_each_process_has_a_lane_with_what_it_ended_and_runs() -> None:
    """A process that is gone keeps its lane as long as it has bars."""
    lanes = Lanes()
    ended = [message(NOW - 5, 1.0), message(NOW - 4, 2.0, "fit ×5", 2, "failed")]
    report = worker(ended=ended, processes=[process(1, "square ×3", NOW - 3), process(3)])
    lanes.take(report)
    rows, left_out = lanes.rows({"w": report}, NOW)
    assert left_out == 0
    assert [(row.worker, row.pid, row.is_here) for row in rows] == [
        ("w", 1, True),
        ("w", 2, False),
        ("w", 3, True),
    ]
    assert rows[0].bars == [
        (NOW - 5, 1.0, "square", "done", 1),
        (NOW - 3, 3.0, "square", None, 1),
    ]
    assert rows[1].bars == [(NOW - 4, 2.0, "fit", "failed", 1)]
    assert rows[2].bars == []


def test_short_messages_of_one_function_are_one_bar() -> None:
    lanes = Lanes()
    ended = [
        message(NOW, 0.02),
        message(NOW + 0.03, 0.02),
        message(NOW + 0.06, 0.02, state="failed"),
        message(NOW + 0.09, 0.02),
        message(NOW + 0.12, 0.02, "other"),
        message(NOW + 9.0, 0.02, "other"),
        message(NOW + 9.03, 2.0, "other"),
    ]
    lanes.take(worker(ended=ended))
    ((_, _, _, _, bars, _),), _ = lanes.rows({}, NOW + 10)
    assert [(bar.took, bar.function, bar.state, bar.messages) for bar in bars] == [
        (0.05, "square", "done", 2),
        (0.02, "square", "failed", 1),
        (0.02, "square", "done", 1),
        (0.02, "other", "done", 1),
        (0.02, "other", "done", 1),
        (2.0, "other", "done", 1),
    ]


def test_bars_before_the_window_are_dropped() -> None:
    lanes = Lanes()
    lanes.take(worker(ended=[message(NOW, 1), message(NOW + 30, 1), message(NOW, pid=2)]))
    lanes.forget_before(NOW + 20)
    (lane,), _ = lanes.rows({}, NOW + 20)
    assert [bar.began for bar in lane.bars] == [NOW + 30]


def test_many_processes_are_one_lane_for_each_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows how busy they were; of many workers, the first are shown."""
    monkeypatch.setattr(module, "MOST_LANES", 2)
    lanes = Lanes()
    reports = {}
    for name in ("a", "b", "c"):
        ended = [message(NOW - 10.5, 1.0), message(NOW - 10, 1.0, pid=2)]
        reports[name] = worker(name, ended=ended, processes=[process(1), process(2)])
        lanes.take(reports[name])
    rows, left_out = lanes.rows(reports, NOW)
    assert [(row.worker, row.pid, row.memory) for row in rows] == [("a", 0, 200), ("b", 0, 200)]
    assert left_out == 1
    busy = rows[0].busy
    assert len(busy) == WINDOW
    assert [busy[49], busy[50], busy[51]] == [0.25, 0.75, 0.0]
