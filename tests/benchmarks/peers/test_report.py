"""A run as tables."""

from benchmarks.peers.report import as_markdown, as_text
from tests.benchmarks.peers.recorded import recorded


def row(text: str, name: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.split("|")[1:-1]]


def test_the_table_shows_figures_with_spread_and_guarantees() -> None:
    cells = row(as_markdown(recorded()), "Celery")
    assert cells[1] == "2.5 (2 to 3)"
    assert cells[3] == "600"
    assert cells[-2:] == ["yes", "partly"]


def test_failed_measurements_are_told_apart_from_unsupported_ones() -> None:
    text = as_markdown(recorded())
    assert row(text, "Celery")[4:6] == ["failed", "-"]
    assert "- Celery, map FAILED: no answer within 60 s" in text
    assert set(row(text, "arq")[1:9]) == {"failed"}
    assert "- arq, start FAILED: cannot be installed" in text


def test_variants_are_listed_below_the_table_and_extrapolated_figures_are_marked() -> None:
    text = as_markdown(recorded())
    assert "- Celery, group: 500 calls/s" in text
    assert row(text, "ProcessPool")[6] == "~40"


def test_the_guarantees_of_each_peer_are_described_in_a_sentence() -> None:
    text = as_markdown(recorded())
    assert "| Celery | yes | partly | What Celery does. |" in text
    assert "| joblib | standard library | Defaults. | a page |" in text


def test_the_terminal_shows_ratios() -> None:
    lines = as_text(recorded()).splitlines()
    (celery,) = (line for line in lines if line.startswith("Celery "))
    assert celery.split()[1:3] == ["2.5", "(×2.94)"]
    assert celery.split()[-2:] == ["yes", "partly"]
    (ours,) = (line for line in lines if line.startswith("ours  "))
    assert "×" not in ours
