"""Draws what containers or processes take: cores, memory, connections."""

from collections.abc import Mapping, Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from distribute_challenge.benchmarking.recording import Run
from distribute_challenge.benchmarking.results.analysis import StepFigures, is_worker
from distribute_challenge.benchmarking.results.plots import style
from distribute_challenge.core.units import MEMORY_UNITS, in_natural_order

__all__ = ["resources"]

WORKERS = "workers"  # Name of all workers together; their connections are recorded under it too.
MARKERS = "os^Dv"


def resources(title: str, run: Run, steps: Sequence[StepFigures]) -> Figure:
    """Draw a panel for each resource, with an axis of its own."""
    figure = style.new_figure(title, run, height=3.6)
    cpu, memory, connections = figure.subplots(1, 3)
    handles: dict[str, Artist] = {}
    _panel(cpu, "cores", [(step.workers, _together(step.cpu)) for step in steps], handles)
    _panel(
        memory,
        "memory",
        [(step.workers, _together(step.memory)) for step in steps],
        handles,
        units=MEMORY_UNITS,
    )
    _panel(
        connections,
        "connections to Redis",
        [(step.workers, step.connections) for step in steps],
        handles,
        whole=True,
    )
    style.legend(figure, handles)
    return figure


def _together(values: Mapping[str, float]) -> Mapping[str, float]:
    """Return the sum of the workers' values, and the other values by name."""
    found: dict[str, float] = {}
    for name, value in values.items():
        key = WORKERS if is_worker(name) else name
        found[key] = found.get(key, 0) + value
    return found


def _panel(
    axes: Axes,
    title: str,
    values: Sequence[tuple[int, Mapping[str, float]]],
    handles: dict[str, Artist],
    *,
    units: style.Units | None = None,
    whole: bool = False,
) -> None:
    """Draw a line for each name; `handles` keeps a name's look the same in all panels."""
    axes.set_title(title)
    known = [(size, found) for size, found in values if found]
    if not known:
        style.blank(axes, "not recorded")
        return
    names = in_natural_order({name for _, found in known for name in found})
    for name in sorted(names, key=lambda name: name != WORKERS):
        place = list(handles).index(name) if name in handles else len(handles)
        points = [(size, found[name]) for size, found in known if name in found]
        (handles[name],) = axes.plot(
            *zip(*points, strict=True),
            color=style.CATEGORIES[place % len(style.CATEGORIES)],
            marker=MARKERS[place % len(MARKERS)],
            markersize=4,
            linewidth=1.5,
            clip_on=False,
        )
    top = max(value for _, found in known for value in found.values())
    style.y_from_zero(
        axes, top, style.in_units(units, 1.08 * top) if units else style.numbers, whole=whole
    )
    style.workers_axis(axes, [size for size, _ in known], room=7)
