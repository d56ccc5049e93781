"""A run as a table."""

from benchmarks.faults.report import as_markdown
from tests.benchmarks.faults.recorded import recorded


def rows(text: str, fault: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith(f"| {fault}")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_a_row_tells_values_errors_and_seconds() -> None:
    ours, _, _ = rows(as_markdown(recorded()), "one of 100 calls")
    assert ours[1:] == [
        "distribute_challenge",
        "98 of 100",
        "1 WorkerLostError, 1 wrong value",
        "-",
        "1",
        "3.14",
        "-",
    ]


def test_calls_without_an_outcome_are_shown_as_lost_or_hung() -> None:
    _, celery, _ = rows(as_markdown(recorded()), "one of 100 calls")
    assert celery[2:] == [
        "97 of 100",
        "-",
        "2 lost, 1 hung",
        "1, up to 21 times",
        "4",
        "worker0 is gone; a \\| b",
    ]


def test_failed_and_absent_rows_say_why() -> None:
    text = as_markdown(recorded())
    assert rows(text, "one of 100 calls")[2][2:] == [
        *["-"] * 5,
        "failed: did not start: no process answers",
    ]
    assert rows(text, "client killed")[0][2:] == [*["-"] * 5, "calls end with the client"]


def test_errors_are_quoted_on_one_line_and_cut() -> None:
    (line,) = (line for line in as_markdown(recorded()).splitlines() if line.startswith("- "))
    assert line.startswith("- distribute_challenge, call-kills: `WorkerLostError`: died \\| xxx")
    assert line.endswith("…")
    without = {**recorded(), "rows": recorded()["rows"][1:]}
    assert "What the errors said" not in as_markdown(without)


def test_each_system_is_there_with_its_versions() -> None:
    text = as_markdown(recorded())
    assert "| Celery | celery 5.7.0 | Two `celery worker`" in text
    assert "| Ray | - | Defaults: `ray start --head`" in text
