"""What is printed of a run, and of two."""

from benchmarks.self.report import comparison_as_markdown, run_as_markdown
from tests.benchmarks.self.recorded import MEMORY, RATE, SECONDS, results


def test_a_run_is_a_table_with_medians_and_spread() -> None:
    text = run_as_markdown(
        results({SECONDS: [0.5, 0.7, 0.6], RATE: [123456.0]}, errors={"mix": "hung"})
    )
    assert "| start to first result | 0.6 s | 0.5 to 0.7 |" in text
    assert "| `map` | 123,000 calls/s | - |" in text
    assert "- mix FAILED: hung" in text
    assert "revision abc, 2 cores (a processor), 8 GB" in text


def test_a_comparison_marks_what_got_worse() -> None:
    old = results({SECONDS: [1.0], RATE: [1000.0], MEMORY: [0.0]})
    new = results({SECONDS: [1.5], RATE: [1100.0]})
    text = comparison_as_markdown(old, new)
    assert "| start to first result | 1 s | 1.5 s | +50 % | **worse** |" in text
    assert "| `map` | 1,000 calls/s | 1,100 calls/s | +10 % |  |" in text
    assert "| memory | 0 MB | - | - |  |" in text
    assert "different machines" not in text


def test_runs_of_two_machines_are_told_apart() -> None:
    text = comparison_as_markdown(results({SECONDS: [1.0]}), results({SECONDS: [1.0]}, cores=64))
    assert "different machines" in text
