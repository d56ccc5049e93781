"""Draws the figures: for each thing that grows, calls a second and latency, on log scales."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.growth import limits
from benchmarks.growth.report import value_text
from benchmarks.growth.sweeps import SWEEPS, Sweep
from benchmarks.markdown import number
from distribute_challenge.core.units import seconds

__all__ = ["draw"]

WIDTH, HEIGHT, HEAD = 8.3, 3.9, 0.62  # Inches, as the pictures of the load benchmark.
NO_DATE = {"Date": None, "Creator": None}


def draw(run: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write a chart as SVG for each thing that was measured; the same run gives the same files.

    Args:
        run: What `__main__` has measured, as plain values.
        folder: Folder for the files, which exists.

    Returns:
        Their paths.
    """
    import matplotlib

    from distribute_challenge.benchmarking.results.plots.style import STYLE

    paths = []
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        for name, points in run["sweeps"].items():
            shown = [point for point in points if "loaded" in point]
            if shown:
                path = folder / f"growth-{name.replace('_', '-')}.svg"
                _figure(run, SWEEPS[name], shown).savefig(path, metadata=NO_DATE)
                paths.append(path)
    return paths


def _figure(run: Mapping[str, Any], sweep: Sweep, points: Sequence[Mapping[str, Any]]) -> Any:
    from matplotlib.figure import Figure

    from distribute_challenge.benchmarking.results.plots.style import BLUE, GREY, ORANGE

    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    engine: Any = figure.get_layout_engine()
    engine.set(rect=(0, 0, 1, 1 - HEAD / HEIGHT), w_pad=0.08, h_pad=0.08)
    figure.text(0.012, 1 - 0.12 / HEIGHT, sweep.title, size=13, weight="bold", va="top")
    figure.text(0.012, 1 - 0.38 / HEIGHT, _subject(run, sweep), size=9.5, color=GREY, va="top")
    left, right = figure.subplots(1, 2)
    values = [point["value"] for point in points]
    alone = [point.get("alone", point["loaded"]) for point in points]

    left.set_title("calls per second")
    rates = [point["loaded"]["calls"] / point["loaded"]["seconds"] for point in points]
    left.plot(values, rates, "o-", color=BLUE, markersize=5.5, linewidth=1.8)
    _name_ends(left, points, rates)

    right.set_title("latency: " + ("calls one by one" if sweep.by_one else "of these calls"))
    for key, label, colour in (("p50", "median", BLUE), ("p99", "99th percentile", ORANGE)):
        right.plot(
            values,
            [figures[key] for figures in alone],
            "o-",
            color=colour,
            label=label,
            markersize=5.5,
            linewidth=1.8,
        )
    right.legend(loc="best")
    for axes, ticks in ((left, number), (right, _duration)):
        _log_axes(axes, sweep, values, ticks)
    return figure


def _subject(run: Mapping[str, Any], sweep: Sweep) -> str:
    machine, options = run["machine"], run["options"]
    rest = "" if sweep.name == "workers" else f"{options['workers']} worker processes, "
    return (
        f"{rest}calls that do nothing, {machine['cores']} cores, load "
        f"{machine['load_average_before']:g} before, {machine['date'].split()[0]}; log scales"
    )


def _log_axes(
    axes: Any, sweep: Sweep, values: Sequence[float], ticks: Callable[[float], str]
) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set(xscale="log", yscale="log", xlabel=sweep.axis)
    axes.set_xticks(values[:: -1 - len(values) // 8], minor=False)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _value(sweep, value)))
    axes.tick_params(axis="x", labelsize=8)
    low, high = axes.get_ylim()
    # Room for the labels of the ends, and at least one power of ten, so that noise looks like noise.
    middle, room = (low * high) ** 0.5, 1.3 * (high / low) ** 0.2
    axes.set_ylim(min(low / room, middle / 5), max(high * room, middle * 5))
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: ticks(value)))


def _name_ends(axes: Any, points: Sequence[Mapping[str, Any]], rates: Sequence[float]) -> None:
    """Write the CPU time of a call at both ends: that of the process which takes most."""
    for place, inner, side in ((0, 1, "left"), (-1, -2, "right")):
        costs = limits.costs(points[place]["loaded"])
        most = max(costs, key=lambda kind: costs[kind])
        # On the side where the line is not.
        is_above = len(rates) == 1 or rates[inner] <= rates[place]
        axes.annotate(
            f"{limits.KINDS[most]}\n{number(costs[most])} µs a call",
            (points[place]["value"], rates[place]),
            (0, 8 if is_above else -8),
            textcoords="offset points",
            size=8,
            ha=side,
            va="bottom" if is_above else "top",
            color="#444444",
        )
        if len(rates) == 1:
            break


def _value(sweep: Sweep, value: float) -> str:
    """Write a tick briefly, so that neighbours do not touch."""
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if value >= unit and not sweep.is_size:
            return f"{value / unit:g}{letter}"
    return value_text(sweep, value)


def _duration(value: float) -> str:
    return seconds(value).replace(".00", "").replace(".0 ", " ")
