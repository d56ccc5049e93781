"""Draws a run: four figures side by side, on log scales, with the best peer on top.

Dots, not bars: a log scale has no zero, so the length of a bar would mean nothing.
"""

from pathlib import Path
from typing import Any

from benchmarks.markdown import number
from benchmarks.peers.catalogue import FLOOR
from benchmarks.peers.figures import FIGURES
from benchmarks.sessions.entry import OURS
from benchmarks.sessions.results import Figure, Run, summary, title

__all__ = ["draw"]

SHOWN = ("round_trip_p50", "submit_and_gather", "map", "payload")
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
WIDTH, HEIGHT = 9.6, 10.4
RESOLUTION = 150  # Dots per inch of the PNG.


def draw(run: Run, folder: Path, name: str = "peers") -> list[Path]:
    """Write the chart as PNG and as SVG.

    Returns:
        The paths of both.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.lines import Line2D

    # No date and no random names, so that the same figures give the same file.
    with pyplot.rc_context({"font.size": 9.5, "svg.hashsalt": "peers"}):
        picture, axes = pyplot.subplots(2, 2, figsize=(WIDTH, HEIGHT), layout="constrained")
        shown = [figure for key in SHOWN for figure in FIGURES if figure.key == key]
        for place, figure in zip(axes.flat, shown, strict=True):
            _panel(place, run, figure)
        picture.legend(
            [Line2D([], [], color=colour, **DOT) for colour in KINDS.values()],
            list(KINDS),
            loc="outside lower center",
            ncols=len(KINDS),
            frameon=False,
        )
        machine, options = run["machine"], run["options"]
        picture.suptitle(
            f"Calls on {options['workers']} worker processes, {machine['cores']} cores; log scales",
            fontsize=11,
        )
        paths = [folder / f"{name}.png", folder / f"{name}.svg"]
        picture.savefig(paths[0], dpi=RESOLUTION)
        picture.savefig(paths[1], metadata={"Date": None})
        pyplot.close(picture)
    return paths


def _panel(axes: Any, run: Run, figure: Figure) -> None:
    found = {name: summary(record, figure) for name, record in run["peers"].items()}
    measured = {name: each for name, each in found.items() if each is not None}
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
    axes.set_yticks(places, [title(run, name) for name in names])
    axes.set_xscale("log")
    if middles:
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
    axes.set_title(figure.heading, fontsize=10)
    axes.set_xlabel("more is better" if figure.more_is_better else "less is better", fontsize=8.5)
    axes.xaxis.set_major_formatter(lambda value, _: _tick(value))
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
