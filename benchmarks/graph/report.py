"""Writes a run as tables, for the terminal and as Markdown."""

from collections.abc import Iterator

from benchmarks.graph.figures import FIGURES
from benchmarks.machine import in_a_line
from benchmarks.markdown import markdown_table
from benchmarks.sessions.cells import configurations, factor, full, reasons, short
from benchmarks.sessions.entry import OURS
from benchmarks.sessions.results import Figure, Run, ratio, title
from distribute_challenge.core.tables import table

__all__ = ["as_markdown", "as_text"]


def as_text(run: Run) -> str:
    """Return the medians with their ratios, and what failed, for a terminal."""
    names = list(run["peers"])
    rows = [
        [figure.heading, *(short(run, name, figure) for name in names)] for figure in _shown(run)
    ]
    return "\n\n".join(
        [
            in_a_line(run["machine"]),
            table(
                ["", *(title(run, name) for name in names)], rows, right=range(1, 1 + len(names))
            ),
            f"In brackets: how many times better {OURS} is; below 1 the other is ahead.",
            *_remarks(run),
        ]
    )


def as_markdown(run: Run) -> str:
    """Return everything: figures with spread, ratios, configurations, failures."""
    names, options = list(run["peers"]), run["options"]
    others = [name for name in names if name != OURS]
    shown = _shown(run)
    parts = [
        in_a_line(run["machine"]),
        (
            f"{options['workers']} worker processes, median of {options['rounds']} interleaved "
            f"rounds (lowest to highest); load of the machine before: "
            f"{run['machine']['load_average_before']}."
        ),
        markdown_table(
            ["what", *(title(run, name) for name in names)],
            [[figure.heading, *(full(run, name, figure) for name in names)] for figure in shown],
        ),
        f"How many times better {OURS} is; below 1 the other is ahead:",
        markdown_table(
            ["what", *(title(run, name) for name in others)],
            [
                [
                    figure.heading.rpartition(", ")[0],
                    *(factor(ratio(run, name, figure)) for name in others),
                ]
                for figure in shown
                if figure.is_compared
            ],
        ),
        *_remarks(run),
        "How each is configured:",
        configurations(run),
    ]
    return "\n\n".join(parts) + "\n"


def _shown(run: Run) -> list[Figure]:
    """Return the figures of the measurements that the run was asked for."""
    return [figure for figure in FIGURES if figure.measurement in run["options"]["measurements"]]


def _remarks(run: Run) -> Iterator[str]:
    """Yield what the tables have no room for."""
    if run["options"]["quick"]:
        yield "Graphs are smaller than the tables say (`--quick`): these figures show only that all runs."
    lines = [f"- {line}" for name in run["peers"] for line in reasons(run, name)]
    if lines:
        yield "\n".join(lines)
