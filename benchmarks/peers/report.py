"""Writes a run as tables, for the terminal and as Markdown."""

from collections.abc import Iterator

from benchmarks.machine import in_a_line
from benchmarks.markdown import markdown_table, number
from benchmarks.peers.figures import FIGURES
from benchmarks.sessions.cells import NOTHING, configurations, factor, full, reasons, short
from benchmarks.sessions.entry import OURS
from benchmarks.sessions.results import Run, ratio, title
from distribute_challenge.core.tables import table

__all__ = ["as_markdown", "as_text"]


def as_text(run: Run) -> str:
    """Return the medians with their ratios, and what failed, for a terminal."""
    heads = ["", *(figure.heading.partition(",")[0] for figure in FIGURES), "crosses", "survives a"]
    units = [
        "",
        *(figure.heading.partition(", ")[2] for figure in FIGURES),
        "machines",
        "worker's death",
    ]
    rows = [
        [
            title(run, name),
            *(short(run, name, figure) for figure in FIGURES),
            *_guarantees(run, name),
        ]
        for name in run["peers"]
    ]
    parts = [
        in_a_line(run["machine"]),
        table(heads, [units, *rows], right=range(1, 1 + len(FIGURES))),
        (
            f"In brackets: how many times better {OURS} is; below 1 the peer is ahead. ~ is "
            f"extrapolated from fewer calls."
        ),
        *_notes(run),
    ]
    return "\n\n".join(parts)


def as_markdown(run: Run) -> str:
    """Return everything: figures with spread, ratios, guarantees, configurations, failures."""
    names = list(run["peers"])
    told = {name: run["peers"][name]["facts"] for name in names if run["peers"][name]["facts"]}
    options = run["options"]
    parts = [
        in_a_line(run["machine"]),
        (
            f"{options['workers']} worker processes, median of {options['rounds']} interleaved rounds "
            f"(lowest to highest)."
        ),
        "~ is extrapolated from fewer calls.",
        markdown_table(
            [
                "peer",
                *(figure.heading for figure in FIGURES),
                "crosses machines",
                "survives a worker's death",
            ],
            [
                [
                    title(run, name),
                    *(full(run, name, figure) for figure in FIGURES),
                    *_guarantees(run, name),
                ]
                for name in names
            ],
        ),
        f"How many times better {OURS} is; below 1 the peer is ahead:",
        markdown_table(
            ["peer", *(figure.heading.partition(",")[0] for figure in FIGURES)],
            [
                [title(run, name), *(factor(ratio(run, name, figure)) for figure in FIGURES)]
                for name in names
                if name != OURS
            ],
        ),
        *_notes(run),
        "What each guarantees, configured as measured:",
        markdown_table(
            ["peer", "crosses machines", "survives a worker's death", "in a sentence"],
            [
                [facts["title"], *_guarantees(run, name), facts["guarantee"]]
                for name, facts in told.items()
            ],
        ),
        "How each is configured:",
        configurations(run),
    ]
    return "\n\n".join(parts) + "\n"


def _notes(run: Run) -> Iterator[str]:
    """Yield what the tables have no room for.

    This is: further ways to make many calls, what a peer does not offer, and what failed and why.
    """
    lines: list[str] = []
    for name, record in run["peers"].items():
        ways: dict[str, list[float]] = {}
        for each in record["rounds"]:
            for way, rate in each.get("other_ways", {}).items():
                ways.setdefault(way, []).append(rate)
        lines += [
            f"{title(run, name)}, {way}: {number(sorted(rates)[len(rates) // 2])} calls/s"
            for way, rates in ways.items()
        ]
        lines += reasons(run, name)
    if lines:
        yield "\n".join(f"- {line}" for line in lines)


def _guarantees(run: Run, name: str) -> tuple[str, str]:
    """Return whether a peer crosses machines, and whether a call survives its worker's death."""
    facts = run["peers"][name]["facts"]
    if not facts:
        return NOTHING, NOTHING
    return "yes" if facts["crosses_machines"] else "no", facts["survives_worker_death"]
