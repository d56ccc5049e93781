"""The look of all pictures: colours, figures with a title, axes of workers and of quantities."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from distribute_challenge.benchmarking.recording import Run
from distribute_challenge.benchmarking.results import answer
from distribute_challenge.core.units import fitting
from distribute_challenge.reporting.colours import BLUE, CATEGORIES, GREEN, GREY, ORANGE

__all__ = [
    "BLUE",
    "CATEGORIES",
    "GREEN",
    "GREY",
    "INK",
    "ORANGE",
    "STYLE",
    "blank",
    "by_size",
    "in_units",
    "legend",
    "new_figure",
    "note",
    "numbers",
    "percents",
    "workers_axis",
    "y_from_zero",
]

Ticks = Callable[[float, object], str]
Units = Sequence[tuple[float, str]]

INK, PALE = "#222222", "#e4e4e4"

WIDTH = 8.3  # Inches: 830 pixels at twice the resolution, as wide as a page of a README.
HEAD = 0.62  # Inches for title and subtitle.

STYLE: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#9a9a9a",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": "#444444",
    "axes.labelsize": 9.5,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "grid.color": PALE,
    "legend.borderaxespad": 0,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "savefig.dpi": 200,
    "svg.hashsalt": "distribute_challenge",
    "text.color": INK,
    "text.parse_math": False,  # Names of containers may hold dollars.
    "xtick.color": "#9a9a9a",
    "xtick.labelcolor": "#444444",
    "xtick.labelsize": 9,
    "ytick.color": "#9a9a9a",
    "ytick.labelcolor": "#444444",
    "ytick.labelsize": 9,
}


def new_figure(title: str, run: Run, *, height: float) -> Figure:
    """Return an empty figure with a title, and below the title what was measured.

    Args:
        title: What the figure shows.
        run: Run whose subject is named.
        height: Height in inches.
    """
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.set(rect=(0, 0, 1, 1 - HEAD / height), w_pad=0.08, h_pad=0.08)  # type: ignore[call-arg]
    figure.text(0.012, 1 - 0.12 / height, title, size=13, weight="bold", va="top")
    figure.text(0.012, 1 - 0.38 / height, answer.subject(run), size=9.5, color=GREY, va="top")
    return figure


def blank(axes: Axes, text: str) -> None:
    """Say in the middle of a panel why there is nothing in it."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY)
    axes.set(xticks=[], yticks=[])


def legend(figure: Figure, handles: Mapping[str, Artist]) -> None:
    """Draw the legend in one row beside the title, where it covers nothing."""
    figure.legend(
        handles.values(), handles.keys(), loc="upper right", ncols=len(handles), borderaxespad=0.6
    )


def note(figure: Figure, text: str) -> None:
    """Write a line of text beside the subtitle, on the right."""
    figure.text(
        0.988, 1 - 0.38 / figure.get_figheight(), text, size=9, color=GREY, ha="right", va="top"
    )


def by_size(count: int) -> list[str]:
    """Return a colour for each size, from dark to light, without those too pale for paper."""
    colours = matplotlib.colormaps["viridis"]
    return [matplotlib.colors.to_hex(colours(0.85 * i / max(count - 1, 1))) for i in range(count)]


def workers_axis(axes: Axes, sizes: Sequence[int], *, room: int) -> None:
    """Set an x axis of numbers of workers, with whole numbers as ticks.

    The ticks are the sizes themselves if there is room for them.

    Args:
        axes: Axes to change.
        sizes: Numbers of workers, in order.
        room: How many labels have room side by side.
    """
    axes.set_xlabel("workers")
    margin = max((sizes[-1] - sizes[0]) * 0.05, 0.5)
    axes.set_xlim(sizes[0] - margin, sizes[-1] + margin)
    gaps = [right - left for left, right in pairwise(sizes)]
    if not gaps or (sizes[-1] - sizes[0]) / min(gaps) < room:
        axes.set_xticks(sizes)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=room, integer=True, steps=[1, 2, 5, 10]))


def numbers(value: float, _: object = None) -> str:
    """Write a tick's number, with commas between thousands."""
    return f"{value:,.10g}"


def percents(value: float, _: object = None) -> str:
    """Write a tick's share, in percent."""
    return f"{100 * value:.10g} %"


def in_units(units: Units, top: float | None = None) -> Ticks:
    """Return a function that writes ticks of durations or bytes.

    Args:
        units: Units to choose from.
        top: End of the axis, whose unit all ticks get; None: each tick has a unit of its own.
    """

    def write(value: float, _: object = None) -> str:
        scale, name = fitting(value if top is None else top, units)
        return f"{value / scale:,.6g} {name}" if value else "0"

    return write


def y_from_zero(axes: Axes, top: float, ticks: Ticks, *, whole: bool = False) -> None:
    """Set a y axis that begins at zero.

    Args:
        axes: Axes to change.
        top: The largest value that must be visible; if it is 0, the axis still has a length.
        ticks: Writes the ticks.
        whole: Whether the ticks are whole numbers.
    """
    axes.set_ylim(0, 1.08 * top or 1)
    axes.yaxis.set_major_locator(
        MaxNLocator(nbins=6, steps=[1, 2, 5, 10] if whole else [1, 2, 2.5, 5, 10], integer=whole)
    )
    axes.yaxis.set_major_formatter(FuncFormatter(ticks))
