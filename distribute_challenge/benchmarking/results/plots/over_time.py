"""Draws a line for each size over the seconds of its step: throughput, and calls that wait."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from distribute_challenge.benchmarking.recording import Run, Step
from distribute_challenge.benchmarking.results.analysis import (
    SMOOTHED_OVER,
    StepFigures,
    queue_over_time,
    throughput_over_time,
)
from distribute_challenge.benchmarking.results.plots import style

if TYPE_CHECKING:
    from distribute_challenge.benchmarking.results.analysis import Numbers

__all__ = ["queue", "throughput"]

HEIGHT = 4.6  # Inches.
MOST_LABELS = 24  # Labels that have room beside the axes, one above the other.
# Calls per second; with fewer, a single second shows single calls and not how fast they went.
ENOUGH = 10.0
LABELS_AT = 1.03  # Place of the labels, as a share of the width of the axes.

Series = tuple[Step, str, "Numbers", "Numbers"]


def throughput(title: str, run: Run, steps: Sequence[StepFigures]) -> Figure:
    """Draw the calls per second over time."""
    figure, axes = _axes(title, run)
    series: list[Series] = []
    enough = max((step.throughput for step in steps), default=0.0) >= ENOUGH
    most = 0.0
    for step, colour in zip(run.steps, style.by_size(len(run.steps)), strict=True):
        times, counts, smoothed = throughput_over_time(step)
        # What came after the window, when no new calls were made, says nothing about throughput.
        shown = times < step.closed - step.opened
        if enough and shown.any():
            axes.plot(times[shown], counts[shown], color=colour, alpha=0.22, linewidth=0.8)
            most = max(most, float(counts[shown].max()))
        series.append((step, colour, times[shown], smoothed[shown]))
    _finish(axes, series, most=most, whole=False)
    axes.set_ylabel("calls per second")
    style.note(
        figure,
        f"thick: average of {SMOOTHED_OVER} s around each second"
        + ("; pale: single seconds" if most else ""),
    )
    begin = axes.get_xlim()[0]
    if begin < 0:
        axes.axvspan(begin, 0, color="#f2f2f2", zorder=0, linewidth=0)
        place = axes.get_xaxis_transform()
        axes.text(
            begin / 2,
            0.985,
            "warm-up",
            transform=place,
            size=9,
            color=style.GREY,
            ha="center",
            va="top",
        )
    return figure


def queue(title: str, run: Run, steps: Sequence[StepFigures]) -> Figure:
    """Draw the calls that waited, over time."""
    figure, axes = _axes(title, run)
    colours = style.by_size(len(run.steps))
    series = [
        (step, colour, *queue_over_time(step))
        for step, colour in zip(run.steps, colours, strict=True)
    ]
    _finish(axes, series, most=0.0, whole=True)
    axes.set_ylabel("calls that wait")
    return figure


def _axes(title: str, run: Run) -> tuple[Figure, Axes]:
    figure = style.new_figure(title, run, height=HEIGHT)
    return figure, figure.subplots()


def _finish(axes: Axes, series: Sequence[Series], *, most: float, whole: bool) -> None:
    """Draw lines with their labels, on axes that have room for them and for values up to `most`."""
    drawn = [one for one in series if len(one[2])]
    if not drawn:
        style.blank(axes, "nothing was measured")
        return
    for step, colour, times, values in drawn:
        axes.plot(times, values, color=colour, linewidth=1.8, solid_capstyle="round")
        if not step.complete:
            axes.plot(
                times[-1],
                values[-1],
                "o",
                color=colour,
                markerfacecolor="white",
                markersize=5.5,
                zorder=3,
            )
    style.y_from_zero(
        axes, max(most, *(float(values.max()) for *_, values in drawn)), style.numbers, whole=whole
    )
    axes.set_xlim(
        min(0.0, *(times[0] - 0.5 for _, _, times, _ in drawn)),
        max(times[-1] + 0.5 for _, _, times, _ in drawn),
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.set_xlabel("seconds since measuring began")
    _label(axes, drawn)


def _label(axes: Axes, series: Sequence[Series]) -> None:
    """Write the size beside the end of each line.

    Where lines end at the same height, the labels stand one below the other.
    """
    every = -(-len(series) // MOST_LABELS)
    ends = [
        (float(values[-1]), float(times[-1]), step, colour)
        for step, colour, times, values in series[::-1][::every]
    ]
    ends.sort(key=lambda end: (end[0], end[2].workers))
    bottom, top = axes.get_ylim()
    gap = (top - bottom) / MOST_LABELS
    places = _apart([end[0] for end in ends], gap=gap, bottom=bottom, top=top - gap / 2)
    for (value, time, step, colour), place in zip(ends, places, strict=True):
        leader = {
            "arrowstyle": "-",
            "color": colour,
            "linewidth": 1,
            "shrinkA": 1,
            "shrinkB": 0,
            "relpos": (0, 0.5),
        }
        if not step.complete:
            leader |= {"linestyle": ":", "linewidth": 0.8, "shrinkB": 4}
        axes.annotate(
            str(step.workers) if step.complete else f"{step.workers} (cut short)",
            xy=(time, value),
            xytext=(LABELS_AT, place),
            textcoords=axes.get_yaxis_transform(),
            size=9,
            va="center",
            annotation_clip=False,
            arrowprops=leader,
        )
    axes.text(
        LABELS_AT, 1.01, "workers", transform=axes.transAxes, size=9, color=style.GREY, va="bottom"
    )


def _apart(values: Sequence[float], *, gap: float, bottom: float, top: float) -> list[float]:
    """Return places near rising values, at least a gap apart, and between bottom and top."""
    places: list[float] = []
    for value in values:
        places.append(max(value, places[-1] + gap if places else bottom))
    limit = top
    for i in reversed(range(len(places))):
        places[i] = min(places[i], limit)
        limit = places[i] - gap
    return places
