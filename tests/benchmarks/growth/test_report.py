"""What is printed and drawn of a run."""

from pathlib import Path

import pytest

from benchmarks.growth.chart import draw
from benchmarks.growth.report import as_markdown, value_text
from benchmarks.growth.sweeps import SWEEPS
from benchmarks.markdown import number
from tests.benchmarks.growth.recorded import figures, point, recorded


def test_each_value_has_a_row_with_its_limit() -> None:
    text = as_markdown(recorded())
    assert "revision abc, 2 cores (a processor), 8 GB" in text
    assert "load 0.1 before, 0.2 after" in text
    assert "**What more worker processes bring**" in text
    assert (
        "| 1 | 5,000 | 1.00 ms | 2.00 ms | 100 | 10 | 20 | 5 | no core: waiting for each other |"
        in text
    )
    assert "| 64 |  |  |  |  |  |  |  | FAILED: it hung |" in text
    assert "| 1 GB | 50 | 200 ms | 400 ms |" in text
    assert "| a core: Redis |" in text


def test_the_needs_of_large_clusters_follow_from_the_measured_ones() -> None:
    text = as_markdown(recorded())
    assert "| worker (main process) | 10 | 7 | 1,500 | 500 |" in text
    assert "| client, for each worker | 0 | 0 | 0 | 400 |" in text
    assert "A message with one call, and its reply: 11 commands, 5,000 bytes to Redis" in text
    # 63 workers with 16 child processes each, and 100 clients.
    assert f"| 1,000 | nothing | {number(63 * 10 + 63 * 16 * 2 + 100 * 3)} |" in text
    assert "| 10,000 | calls of 0.1 s |" in text
    assert "| 100,000 | 2,000 | 5,000 | 50.0 ms | 1 |" in text
    assert "| 1,000 | 1 | 1,000 | 2.00 MB | 2,000 | 999 | 0.011 |" in text


def test_without_calls_one_by_one_large_clusters_are_left_out() -> None:
    only_loaded = {"in_flight": [point(1, SWEEPS["in_flight"].setting(1, 2), loaded=figures())]}
    text = as_markdown(recorded(sweeps=only_loaded))
    assert "What one more asks" in text
    assert "What large clusters need" not in text
    assert "one more" not in as_markdown(recorded(standing=[]))


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("clients", 32, "32"),
        ("in_flight", 1_000_000, "1,000,000"),
        ("size", 100, "100 B"),
        ("size", 10_000_000, "10 MB"),
        ("size", 10**9, "1 GB"),
    ],
)
def test_values_are_short(name: str, value: int, text: str) -> None:
    assert value_text(SWEEPS[name], value) == text


@pytest.mark.slow
def test_the_same_run_gives_the_same_charts(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    paths = draw(recorded(), tmp_path)
    assert [path.name for path in paths] == ["growth-workers.svg", "growth-size.svg"]
    first = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in draw(recorded(), tmp_path)] == first
    assert first[0].startswith(b"<?xml")


@pytest.mark.slow
def test_one_value_is_a_chart_and_none_is_no_chart(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    workers = recorded()["sweeps"]["workers"]
    one = recorded(sweeps={"workers": workers[:1], "clients": [workers[1]]})
    assert [path.name for path in draw(one, tmp_path)] == ["growth-workers.svg"]
