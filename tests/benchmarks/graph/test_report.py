"""A run as tables."""

from benchmarks.graph.report import as_markdown, as_text
from tests.benchmarks.graph.recorded import recorded


def row(text: str, start: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in line.split("|")[1:-1]]


def test_each_figure_is_a_row_and_each_system_a_column() -> None:
    text = as_markdown(recorded())
    assert row(text, "what") == ["what", "ours", "ours over TCP", "Ray", "Dask distributed"]
    assert row(text, "tree")[1:] == ["31,000 (30,000 to 32,000)", "-", "600", "100"]
    assert row(text, "10,000 calls and their total")[1:] == ["20,000", "-", "900", "failed"]
    assert "load of the machine before: 0.1" in text


def test_ratios_are_in_a_second_table_without_meaningless_ones() -> None:
    _, below = as_markdown(recorded()).split("How many times better")
    assert row(below, "tree")[1:] == ["-", "×51.7", "×310"]
    assert "by which the client grows" not in below


def test_failed_and_unsupported_measurements_are_listed_with_the_reason() -> None:
    text = as_markdown(recorded())
    assert "- Dask distributed, fan_out FAILED: no answer within 600 s" in text
    assert "- Ray, nodes: measured for the library alone" in text
    assert "| Ray | celery 5.7.0 | Defaults. | a page |" in text


def test_measurements_that_were_not_requested_are_not_shown() -> None:
    assert "layers × 100" not in as_markdown(recorded())


def test_the_terminal_shows_ratios() -> None:
    lines = as_text(recorded()).splitlines()
    (tree,) = (line for line in lines if line.startswith("tree"))
    assert tree.split()[-5:] == ["-", "600", "(×51.7)", "100", "(×310)"]


def test_small_graphs_are_called_small() -> None:
    run = recorded()
    assert "(`--quick`)" not in as_text(run)
    run["options"]["quick"] = True
    assert "(`--quick`)" in as_text(run)
    assert "(`--quick`)" in as_markdown(run)
