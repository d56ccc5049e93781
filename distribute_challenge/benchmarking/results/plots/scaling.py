"""Draws how throughput grows with the number of workers, and how good that is."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from distribute_challenge.benchmarking.recording import Run
from distribute_challenge.benchmarking.results import answer
from distribute_challenge.benchmarking.results.analysis import StepFigures
from distribute_challenge.benchmarking.results.plots import style
from distribute_challenge.core.units import amount, percent

__all__ = ["scaling"]

ROOM_FOR_IDEAL = 1.6  # The axis ends at most at this many times the measured values.


def scaling(title: str, run: Run, steps: Sequence[StepFigures]) -> Figure:
    """Draw throughput on the left, and its share of the ideal on the right."""
    figure = style.new_figure(title, run, height=4.4)
    left, right = figure.subplots(1, 2, width_ratios=(1.7, 1))
    left.set_title("calls per second")
    right.set_title("share of the ideal")
    if not steps:
        for axes in (left, right):
            style.blank(axes, "nothing was measured")
        return figure
    _throughput(left, steps)
    _efficiency(right, steps)
    handles, labels = left.get_legend_handles_labels()
    style.legend(figure, dict(zip(labels, handles, strict=True)))
    sizes = [step.workers for step in steps]
    for axes, room in ((left, 22), (right, 8)):
        style.workers_axis(axes, sizes, room=room)
        _mark_cores(axes, answer.cores(run), sizes)
    return figure


def _throughput(axes: Axes, steps: Sequence[StepFigures]) -> None:
    sizes = [step.workers for step in steps]
    ideals = [(step.workers, step.ideal) for step in steps if step.ideal is not None]
    if ideals:
        axes.plot(
            *zip(*ideals, strict=True),
            color=style.GREY,
            linewidth=1.2,
            linestyle=(0, (4, 3)),
            label="ideal",
        )
    axes.vlines(
        sizes,
        [step.spread[0] for step in steps],
        [step.spread[1] for step in steps],
        color=style.BLUE,
        alpha=0.3,
        linewidth=5,
        label="90 % of single seconds",
    )
    axes.plot(
        sizes,
        [step.throughput for step in steps],
        color=style.BLUE,
        linewidth=1.8,
        label="measured",
    )
    _points(axes, steps, [step.throughput for step in steps])
    most = max(max(step.throughput, step.spread[1]) for step in steps)
    highest_ideal = max([ideal for _, ideal in ideals], default=0.0)
    style.y_from_zero(axes, max(most, min(highest_ideal, ROOM_FOR_IDEAL * most)), style.numbers)


def _efficiency(axes: Axes, steps: Sequence[StepFigures]) -> None:
    known = [(step, step.efficiency) for step in steps if step.efficiency is not None]
    axes.axhline(1, color=style.GREY, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.plot(
        [step.workers for step, _ in known],
        [share for _, share in known],
        color=style.BLUE,
        linewidth=1.8,
    )
    _points(axes, [step for step, _ in known], [share for _, share in known])
    style.y_from_zero(axes, max([1.0, *(share for _, share in known)]), style.percents)
    if known:
        step, share = known[-1]
        axes.annotate(
            percent(share),
            (step.workers, share),
            (0, -9),
            textcoords="offset points",
            size=9,
            ha="center",
            va="top",
        )


def _points(axes: Axes, steps: Sequence[StepFigures], values: Sequence[float]) -> None:
    """Draw a dot for each step, or a ring if the step was cut short."""
    for complete, face, label in ((True, style.BLUE, None), (False, "white", "cut short")):
        chosen = [
            (s.workers, value)
            for s, value in zip(steps, values, strict=True)
            if s.complete is complete
        ]
        if chosen:
            axes.plot(
                *zip(*chosen, strict=True),
                "o",
                color=style.BLUE,
                markerfacecolor=face,
                markersize=5.5,
                label=label,
                zorder=3,
            )


def _mark_cores(axes: Axes, cores: int | None, sizes: Sequence[int]) -> None:
    """Mark the size with one worker for each core."""
    if cores is None or not sizes[0] <= cores <= sizes[-1]:
        return
    axes.axvline(cores, color=style.ORANGE, linewidth=1.2, linestyle=":")
    axes.annotate(
        amount(cores, "core"),
        xy=(cores, 0),
        xycoords=axes.get_xaxis_transform(),
        xytext=(4, 5),
        textcoords="offset points",
        color=style.ORANGE,
        size=9,
    )
