"""Draws a run: its figures side by side, on log scales, with the best system on top.

Dots, not bars: a log scale has no zero, so the length of a bar would mean nothing.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.markdown import number
from benchmarks.sessions.entry import FLOOR, OURS
from benchmarks.sessions.results import Figure, Run, Summary, summary
from benchmarks.sessions.results import title as title_of

__all__ = ["draw"]

# Okabe and Ito's colours, which people with any kind of colour vision can tell apart; their
# lightness differs as well.
KINDS = {
    "this library": "#0072B2",
    "crosses machines": "#E69F00",
    "one machine only": "#999999",
    "bare Redis, the floor": "#DDDDDD",
}
DOT: Any = {
    "marker": "o",
    "linestyle": "",
    "markersize": 7.5,
    "markeredgecolor": "#444444",
    "markeredgewidth": 0.6,
}
# Inches: at the width of a README, about 830 pixels, text stays about 11 pixels high.
WIDTH = 9.6
ROW = 0.26  # Of one system.
AROUND = 0.8  # Title and axis of a panel.
PANELS = 2  # Side by side.
RESOLUTION = 150  # Dots per inch of the PNG.


def draw(run: Run, figures: Sequence[Figure], folder: Path, name: str, title: str) -> list[Path]:
    """Write the chart as PNG and as SVG.

    Args:
        run: The run.
        figures: The figures to show; those that were not measured are left out.
        folder: Where to write.
        name: Name of the files.
        title: What is measured.

    Returns:
        The paths of both; none if no figure was measured.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.lines import Line2D

    measured = {figure: found for figure in figures if (found := _measured(run, figure))}
    if not measured:
        return []
    lines = -(-len(measured) // PANELS)
    height = lines * (AROUND + ROW * max(map(len, measured.values()))) + AROUND
    # No date and no random names, so that the same figures give the same file.
    with pyplot.rc_context({"font.size": 9.5, "svg.hashsalt": "peers"}):
        picture, axes = pyplot.subplots(
            lines, PANELS, figsize=(WIDTH, height), layout="constrained", squeeze=False
        )
        for place in axes.flat[len(measured) :]:
            place.set_axis_off()
        for place, (figure, found) in zip(axes.flat, measured.items(), strict=False):
            _panel(place, run, figure, found)
        kinds = {_kind(run, each) for found in measured.values() for each in found}
        shown = [kind for kind in KINDS if kind in kinds]
        picture.legend(
            [Line2D([], [], color=KINDS[kind], **DOT) for kind in shown],
            shown,
            loc="outside lower center",
            ncols=len(shown),
            frameon=False,
        )
        machine, options = run["machine"], run["options"]
        picture.suptitle(
            f"{title} on {options['workers']} worker processes, {machine['cores']} cores; "
            "log scales",
            fontsize=11,
        )
        paths = [folder / f"{name}.png", folder / f"{name}.svg"]
        picture.savefig(paths[0], dpi=RESOLUTION)
        picture.savefig(paths[1], metadata={"Date": None})
        pyplot.close(picture)
    return paths


def _measured(run: Run, figure: Figure) -> dict[str, Summary]:
    """Return the systems that have a figure."""
    found = {name: summary(record, figure) for name, record in run["peers"].items()}
    return {name: each for name, each in found.items() if each is not None}


def _panel(axes: Any, run: Run, figure: Figure, measured: dict[str, Summary]) -> None:
    # The best on top: the first row is at the bottom.
    names = sorted(
        measured, key=lambda name: measured[name].median, reverse=not figure.more_is_better
    )
    middles = [measured[name].median for name in names]
    spread = [
        [measured[name].median - measured[name].lowest for name in names],
        [measured[name].highest - measured[name].median for name in names],
    ]
    places = range(len(names))
    axes.errorbar(
        middles, places, xerr=spread, fmt="none", elinewidth=1, ecolor="#333333", zorder=2
    )
    for place, name, middle in zip(places, names, middles, strict=True):
        axes.plot(middle, place, color=KINDS[_kind(run, name)], zorder=3, **DOT)
    axes.set_yticks(places, [title_of(run, name) for name in names])
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xscale("log")
    # Room for the numbers beside the last dot.
    axes.set_xlim(min(middles) / 2, max(measured[name].highest for name in names) * 12)
    for row, name in enumerate(names):
        weight = "bold" if name.startswith(OURS) else "normal"
        axes.text(
            measured[name].highest * 1.25,
            row,
            number(middles[row]),
            va="center",
            fontsize=8.5,
            weight=weight,
        )
    # On the left there is room for a title that is wider than the panel.
    axes.set_title(figure.heading, fontsize=10, loc="right")
    axes.set_xlabel("more is better" if figure.more_is_better else "less is better", fontsize=8.5)
    axes.xaxis.set_major_formatter(lambda value, _: _tick(value))
    axes.xaxis.set_minor_formatter(lambda value, _: "")
    axes.grid(linewidth=0.4, color="#CCCCCC")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _tick(value: float) -> str:
    """Write the label of a tick briefly, so that neighbours do not touch."""
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{letter}"
    return f"{value:g}"


def _kind(run: Run, name: str) -> str:
    if name.startswith(OURS):
        return "this library"
    if name.startswith(FLOOR):
        return "bare Redis, the floor"
    return (
        "crosses machines"
        if run["peers"][name]["facts"]["crosses_machines"]
        else "one machine only"
    )
