"""Writes runs as Markdown tables."""

from benchmarks.machine import in_a_line
from benchmarks.markdown import markdown_table, number
from benchmarks.self.comparison import TOLERANCE, Change, changes
from benchmarks.self.figure import Series
from benchmarks.self.results import Results

__all__ = ["comparison_as_markdown", "run_as_markdown", "whence"]

NOTHING = "-"


def run_as_markdown(run: Results) -> str:
    """Return the figures of one run, with their spread, and what failed."""
    options = run.options
    parts = [
        whence(run),
        (
            f"{options['workers']} worker processes where nothing else is said, median of rounds: "
            f"{options['rounds']}"
        ),
        markdown_table(
            ["what", "figure", "lowest to highest"],
            [[each.figure.title, _figure(each), _spread(each)] for each in run.series.values()],
        ),
    ]
    if run.errors:
        parts.append("\n".join(f"- {name} FAILED: {why}" for name, why in run.errors.items()))
    return "\n\n".join(parts)


def comparison_as_markdown(old: Results, new: Results) -> str:
    """Return two runs side by side, with what got worse."""
    rows = [
        [
            change.title,
            _figure(change.old),
            _figure(change.new),
            _percent(change),
            "**worse**" if change.is_worse else "",
        ]
        for change in changes(old, new)
    ]
    parts = [
        f"old: {whence(old)}",
        f"new: {whence(new)}",
        markdown_table(["what", "old", "new", "change", ""], rows),
        f"Worse: by more than {TOLERANCE:g} % and by more than the spread of the rounds.",
    ]
    if _elsewhere(old, new):
        parts.append(
            "The runs are of different machines or options: they say little about each other."
        )
    return "\n\n".join(parts)


def whence(run: Results) -> str:
    """Return which state of the library was measured, where, and when."""
    return (
        f"revision {run.revision}, {in_a_line(run.machine)}, "
        f"load {run.machine['load_average_before']} before"
    )


def _elsewhere(old: Results, new: Results) -> bool:
    same_machine = all(
        old.machine[key] == new.machine[key] for key in ("cores", "processor", "memory_bytes")
    )
    return not same_machine or old.options["workers"] != new.options["workers"]


def _figure(series: Series | None) -> str:
    return NOTHING if series is None else f"{number(series.median)} {series.figure.unit}".strip()


def _spread(series: Series) -> str:
    if len(series.values) == 1:
        return NOTHING
    return f"{number(min(series.values))} to {number(max(series.values))}"


def _percent(change: Change) -> str:
    return NOTHING if change.percent is None else f"{change.percent:+.0f} %"
