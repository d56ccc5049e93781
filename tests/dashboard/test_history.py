"""What has happened since a dashboard watches."""

import pytest

from distribute_challenge.dashboard import history as module
from distribute_challenge.dashboard.history import History
from distribute_challenge.execution_backends.celery.broker.reports import FailureReport, MapReport
from tests.dashboard.reports import NOW, client, function, graph, message, worker


def test_calls_of_all_clients_are_added_up_by_function() -> None:
    """Unfinished ones are those of the last reports, and of clients that are here."""
    history = History()
    history.take_client(client("c", functions=[function(waiting=9, done=3, failed=1, seconds=2)]))
    history.take_client(client("c", functions=[function(waiting=5, out=1, done=4)]))
    history.take_client(client("d", functions=[function(out=2, done=1), function("fit", done=90)]))
    assert history.functions() == [
        ("square", 5, 3, 8, 1, 2),
        ("fit", 0, 0, 90, 0, 0.0),
    ]
    history.forget((), ["d"], NOW)
    assert history.functions()[0] == ("square", 0, 2, 8, 1, 2)
    history.take_client(client("d", functions=[function("cancelled")]))
    assert "cancelled" not in [row.name for row in history.functions()]


def test_functions_beyond_a_number_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_FUNCTIONS", 1)
    history = History()
    history.take_client(client(functions=[function(name, done=2) for name in "abc"]))
    assert {row.name: row.done for row in history.functions() if row.done} == {
        "a": 2,
        "(others)": 4,
    }


def test_calls_are_spread_over_the_seconds_of_their_report() -> None:
    """A second without a report would otherwise look like a pause."""
    history = History()
    history.take_client(client(seen=NOW, functions=[function(done=10)], latencies=[1.0, 3.0, 9.0]))
    history.take_client(client(seen=NOW + 2.5, functions=[function(done=50, failed=5)]))
    history.take_client(client(seen=NOW + 2.5))  # Two in the same moment.
    points = history.points(NOW + 5)
    assert [(point.at - NOW, point.calls, point.failed) for point in points] == [
        (-1, 10, 0),
        (0, 20, 2),
        (1, 20, 2),
        (2, 10, 1),
    ]
    assert [point.median for point in points] == [None, 3.0, None, None]
    assert [point.slowest for point in points] == [None, 9.0, None, None]


def test_old_seconds_are_dropped() -> None:
    history = History()
    history.take_client(client(functions=[function(done=10)]))
    history.forget((), (), NOW + module.SECONDS + 5)
    assert history.points(NOW + module.SECONDS + 5) == []


def test_messages_and_failures_are_counted() -> None:
    """The latest failures are kept."""
    history = History()
    failure = FailureReport("square ×3", 1, NOW, "ValueError", "Traceback")
    ended = [message(NOW), message(NOW, state="lost")]
    history.take_worker(worker(ended=ended, left_out=7, failures=[failure] * 150))
    assert history.messages == {"done": 8, "lost": 1}
    assert (history.failure_count, len(history.failures)) == (150, 100)
    assert history.failures[0] == (NOW, "square", "w", 1, "ValueError", "Traceback")
    history.forget((), (), NOW)
    assert history.workers == {}


def test_ended_maps_are_still_shown_up_to_a_number() -> None:
    """Of many, the latest are."""
    history = History()
    maps = [MapReport(number, "square", -1 if number else 9, 3, 1, True) for number in range(25)]
    history.take_client(client(maps=maps))
    history.take_client(client(maps=maps[-1:]))
    history.forget((), ["c"], NOW)
    rows = history.maps()
    assert len(rows) == module.MOST_MAPS
    assert (rows[0].is_open, rows[0].total) == (True, None)
    assert not rows[1].is_open
    history.forget((), (), NOW)
    assert not any(row.is_open for row in history.maps())
    history.take_client(client(maps=[maps[-1]._replace(is_open=False, done=9)]))
    assert history.maps()[0][3:] == (9, 1, False)


def test_a_map_s_total_may_be_known() -> None:
    history = History()
    history.take_client(client(maps=[MapReport(1, "square", 9, 3, 1, True)]))
    assert history.maps() == [("square", "c", 9, 3, 1, True)]


def test_a_graph_s_progress_is_shown_until_later_ones_take_its_place() -> None:
    history = History()
    history.take_client(client(graphs=[graph(1), graph(2, "mean", failed=1, results=2)]))
    first, second = history.graphs()[::-1]
    assert first[:6] == ("total", "c", 9, 4, 2, 3)
    assert (first.results, first.began, first.took, first.is_open) == (1, NOW - 4, 4.0, True)
    assert (second.ended, second.failed, second.is_open) == (4, 1, True)
    over = graph(1, waiting=0, out=0, took=5.0, is_open=False)
    history.take_client(client(graphs=[over, graph(2, "mean", failed=1, is_open=False)]))
    failed, ended = history.graphs()
    assert (ended.ended, ended.took, ended.is_open) == (9, 5.0, False)
    assert (failed.ended, failed.is_open) == (None, False)
    history.take_client(client(graphs=[graph(number) for number in range(3, 30)]))
    history.forget((), ["c"], NOW)
    assert len(history.graphs()) == 27
    history.forget((), (), NOW)
    assert len(history.graphs()) == module.MOST_GRAPHS
    assert not any(row.is_open for row in history.graphs())
