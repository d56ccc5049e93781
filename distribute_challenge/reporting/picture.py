"""Draws the lanes of workers as SVG: a row for each, and a bar for what it ran."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from math import ceil, floor, log10
from typing import NamedTuple

from distribute_challenge.core.units import SECOND_UNITS, amount, fitting, in_natural_order, seconds
from distribute_challenge.reporting.colours import CATEGORIES, GREY
from distribute_challenge.reporting.figures import OTHERS
from distribute_challenge.reporting.lanes import COLOURED, Bar, Lanes, busiest, times_of

__all__ = ["Picture", "drawn"]

MOST_ROWS = 60  # Workers; a guess at what people still tell apart.
MOST_HINTS = 1000  # Bars that say what they are under the pointer; each takes some 200 bytes.
MOST_LABEL = 32  # Characters.

# Pixels of the drawing, which is scaled to the page.
WIDTH, LABELS, RIGHT = 960, 200, 14
ROW, BAR, TOP, BOTTOM = 24, 18, 8, 30
THINNEST = 0.8
FAILED = 4  # Height of the mark of a failure.
ALARM = "#d62828"


class Picture(NamedTuple):
    """A drawing.

    Attributes:
        svg: The SVG.
        colours: The colour of each function in it, in order.
        left_out: Number of workers that it does not show.
    """

    svg: str
    colours: Mapping[str, str]
    left_out: int


def drawn(lanes: Lanes, began: float, ended: float) -> Picture:
    """Draw what workers ran, from the beginning of a block to its end.

    Args:
        lanes: What they ran.
        began: Beginning of the block, in seconds since the epoch.
        ended: Its end.
    """
    bars = list(lanes.bars())
    rows = in_natural_order(busiest(lanes.busy, MOST_ROWS))
    colours = _colours(bars)
    height = TOP + ROW * len(rows) + BOTTOM
    # By another clock, a call may have begun before the block, and ended after it.
    axis = _Axis(
        min([began, *(bar.start for bar in bars)]), max([ended, *(bar.end for bar in bars)])
    )
    places = {worker: TOP + ROW * number for number, worker in enumerate(rows)}
    shown = [bar for bar in bars if bar.worker in places]
    parts = [
        *_grid(axis, height),
        *_labels(places),
        *_bars(shown, axis, places, colours),
        *_failures(shown, axis, places),
    ]
    svg = (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" fill="currentColor" font-size="11" '
        f'aria-label="What each worker ran; the tables on this page have the figures">'
        + "".join(parts)
        + "</svg>"
    )
    return Picture(svg, colours, len(lanes.busy) - len(rows))


def _colours(bars: Sequence[Bar]) -> dict[str, str]:
    times = times_of(bars)
    rest = {OTHERS: times.pop(OTHERS)} if OTHERS in times else {}
    names = busiest(times, COLOURED)
    if len(names) < len(times) or rest:
        return {**dict(zip(names, CATEGORIES, strict=False)), OTHERS: GREY}
    return dict(zip(names, CATEGORIES, strict=False))


class _Axis(NamedTuple):
    """The times of the drawing, in seconds since the epoch."""

    begin: float
    end: float

    def x(self, time: float) -> float:
        span = max(self.end - self.begin, 1e-9)
        return LABELS + (WIDTH - LABELS - RIGHT) * (time - self.begin) / span

    def ticks(self) -> Iterator[float]:
        """Yield at most ten round numbers of seconds from the beginning."""
        span = max(self.end - self.begin, 1e-9)
        unit = 10.0 ** floor(log10(span / 8))
        step = next(unit * factor for factor in (1, 2, 5, 10) if span / (unit * factor) <= 9)
        yield from (step * number for number in range(ceil(span / step)))


def _grid(axis: _Axis, height: int) -> Iterator[str]:
    low = height - BOTTOM + 4
    for tick in axis.ticks():
        x = axis.x(axis.begin + tick)
        yield f'<path d="M{x:.1f} {TOP}V{low}" stroke="currentColor" stroke-opacity=".18"/>'
        scale, unit = fitting(tick, SECOND_UNITS)
        text = f"{tick / scale:.6g} {unit}" if tick else "0"
        yield f'<text x="{x:.1f}" y="{low + 14}" text-anchor="middle" opacity=".75">{text}</text>'


def _labels(places: Mapping[str, int]) -> Iterator[str]:
    for worker, y in places.items():
        text = worker
        if len(worker) > MOST_LABEL:  # The end tells processes and threads apart.
            text = f"{worker[:10]}…{worker[11 - MOST_LABEL :]}"
        yield (
            f'<text x="{LABELS - 8}" y="{y + BAR - 5}" text-anchor="end">{escape(text)}'
            f"<title>{escape(worker)}</title></text>"
        )


def _bars(
    bars: Sequence[Bar], axis: _Axis, places: Mapping[str, int], colours: Mapping[str, str]
) -> Iterator[str]:
    paths: defaultdict[str, list[str]] = defaultdict(list)
    filled: defaultdict[tuple[str, float], float] = defaultdict(float)
    for bar in bars:
        colour = colours.get(bar.function, GREY)
        x, width = axis.x(bar.start), max(axis.x(bar.end) - axis.x(bar.start), THINNEST)
        # Cells of several functions stand on each other.
        height = BAR * min(bar.busy, 1 - filled[bar.worker, bar.start]) if bar.busy < 1 else BAR
        y = places[bar.worker] + BAR - height - BAR * filled[bar.worker, bar.start]
        if bar.busy < 1:
            filled[bar.worker, bar.start] += height / BAR
            y = max(y, places[bar.worker])
        shape = f"M{x:.1f} {y:.1f}h{width:.1f}v{height:.1f}h-{width:.1f}z"
        if len(bars) <= MOST_HINTS:
            yield f'<path d="{shape}" fill="{colour}"><title>{escape(_hint(bar))}</title></path>'
        else:
            paths[colour].append(shape)
    for colour, shapes in paths.items():
        yield f'<path d="{"".join(shapes)}" fill="{colour}"/>'


def _hint(bar: Bar) -> str:
    calls = f"{amount(bar.calls, 'call')} of {bar.function}"
    failed = f", {bar.failed:,} failed" if bar.failed else ""
    return f"{calls}{failed}: {seconds((bar.end - bar.start) * bar.busy)} on {bar.worker}"


def _failures(bars: Sequence[Bar], axis: _Axis, places: Mapping[str, int]) -> Iterator[str]:
    shapes = [
        f"M{axis.x(bar.end) - 3:.1f} {places[bar.worker] - 2}h6l-3 {FAILED}z"
        for bar in bars
        if bar.failed
    ]
    if shapes:
        yield f'<path d="{"".join(shapes)}" fill="{ALARM}"/>'
