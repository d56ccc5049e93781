"""Draws whether every worker got its share of the calls."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from distribute_challenge.benchmarking.recording import Run
from distribute_challenge.benchmarking.results.analysis import StepFigures
from distribute_challenge.benchmarking.results.plots import style

__all__ = ["allocation"]

# The axis goes at least this far from an equal share, so that small differences look small.
LEAST = 0.1
WIDTH = 0.8  # Share of a size's room that its workers take.


def allocation(title: str, run: Run, steps: Sequence[StepFigures]) -> Figure:
    """Draw for each size a row of workers, and how far each is from an equal share."""
    figure = style.new_figure(title, run, height=3.6)
    axes = figure.subplots()
    shown = [step for step in steps if step.unevenness is not None]
    if not shown:
        style.blank(axes, "no calls were measured")
        return figure
    farthest = LEAST
    for place, step in enumerate(shown):
        # Workers without a record got nothing.
        calls = [*step.allocation.values(), *[0.0] * (step.workers - len(step.allocation))]
        mean = sum(calls) / len(calls)
        apart = [count / mean - 1 for count in calls]
        farthest = max(farthest, *map(abs, apart))
        places = [place + WIDTH * ((i + 0.5) / len(calls) - 0.5) for i in range(len(calls))]
        size = max(2.5, min(6.5, 70 / (len(shown) * len(calls) ** 0.5)))
        axes.vlines(places, 0, apart, color=style.BLUE, alpha=0.35, linewidth=1)
        axes.plot(places, apart, "o", color=style.BLUE, markersize=size, clip_on=False)
    axes.axhline(0, color=style.INK, linewidth=1, zorder=1)
    for place in range(1, len(shown)):
        axes.axvline(place - 0.5, color=style.PALE, linewidth=0.8, zorder=0)
    axes.set_xlim(-0.5, len(shown) - 0.5)
    every = -(-len(shown) // 25)
    axes.set_xticks(range(0, len(shown), every), [_label(step) for step in shown[::every]])
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel("workers")
    axes.set_ylim(-1.12 * min(farthest, 1.0), 1.12 * farthest)  # No share is below -100 %.
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(
        lambda value, _: f"{100 * value:+.6g} %" if abs(value) > 1e-9 else "equal share"
    )
    axes.set_title("calls of each worker, against an equal share")
    return figure


def _label(step: StepFigures) -> str:
    return str(step.workers) if step.complete else f"{step.workers}\n(cut short)"
