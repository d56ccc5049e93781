"""Draws how long the stages of a call take."""

from collections.abc import Callable, Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from distribute_challenge.benchmarking.recording import Run
from distribute_challenge.benchmarking.results.analysis import Percentiles, StepFigures
from distribute_challenge.benchmarking.results.plots import style
from distribute_challenge.core.units import SECOND_UNITS

__all__ = ["latency"]

# Seconds: the resolution of clocks, and the smallest value on a logarithmic axis.
LEAST = 1e-6
FEW = 20  # If the largest value is at most this many times the smallest, the axis begins at zero.

STAGES: tuple[tuple[str, Callable[[StepFigures], Percentiles | None]], ...] = (
    ("waiting for a worker", lambda step: step.waiting),
    ("running", lambda step: step.running),
    ("returning to the client", lambda step: step.returning),
)
LINES = (("p50", style.BLUE, "o"), ("p95", style.ORANGE, "s"), ("p99", style.GREEN, "^"))


def latency(title: str, run: Run, steps: Sequence[StepFigures]) -> Figure:
    """Draw a panel for each stage, with an axis of time of its own."""
    figure = style.new_figure(title, run, height=3.6)
    panels = figure.subplots(1, len(STAGES))
    handles: dict[str, Artist] = {}
    for axes, (name, stage) in zip(panels, STAGES, strict=True):
        axes.set_title(name)
        known = [(step, found) for step in steps if (found := stage(step)) is not None]
        if not known:
            style.blank(axes, "no calls")
            continue
        sizes = [step.workers for step, _ in known]
        values = {
            line: [max(getattr(found, line), LEAST) for _, found in known] for line, _, _ in LINES
        }
        for line, colour, marker in LINES:
            (handles[line],) = axes.plot(
                sizes, values[line], color=colour, marker=marker, markersize=4, linewidth=1.5
            )
        _time_axis(axes, min(values["p50"]), max(values["p99"]))
        style.workers_axis(axes, sizes, room=7)
    style.legend(figure, handles)
    return figure


def _time_axis(axes: Axes, least: float, most: float) -> None:
    if most / least <= FEW:
        style.y_from_zero(axes, most, style.in_units(SECOND_UNITS, 1.08 * most))
        return
    axes.set_yscale("log")
    axes.set_ylim(least / 1.5, most * 1.5)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if most / least < 300 else (1,)))
    axes.yaxis.set_major_formatter(FuncFormatter(style.in_units(SECOND_UNITS)))
    axes.yaxis.set_minor_formatter(NullFormatter())
