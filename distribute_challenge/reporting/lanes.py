"""When each worker ran what: exactly for some thousand messages, and in cells of time beyond."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from math import floor
from typing import NamedTuple

from distribute_challenge.reporting.figures import OTHERS

__all__ = ["MOST_BARS", "OTHER_WORKERS", "Bar", "Lanes", "busiest", "times_of"]

MOST_BARS = 5000  # Bars with exact times; a browser draws so many at once.
MOST_CELLS = 20_000
FIRST_CELLS = 500  # Cells of the time so far, when the first are made.
MOST_WORKERS = 200  # Lanes; further workers share one.
COLOURED = 5  # Functions that are told apart in cells, those with the most time.
#: The name of the lane that further workers share.
OTHER_WORKERS = "other workers"


class Bar(NamedTuple):
    """What a worker ran in some time.

    Attributes:
        worker: The worker.
        start: Seconds since the epoch.
        end: The same.
        function: Name of the function.
        calls: How many calls ended in that time.
        failed: How many of these failed.
        busy: Share of the time in which a call of the function ran.
    """

    worker: str
    start: float
    end: float
    function: str
    calls: int
    failed: int
    busy: float = 1.0


class Lanes:
    """The bars of all workers.

    The first `MOST_BARS` calls have a bar each; the calls of a map that travelled in one message have
    one together. If there are more, all bars become cells of one width, which grows with the time, so that there are never more than
    `MOST_CELLS`.

    Attributes:
        busy: Seconds that each worker ran calls.
        calls: How many each worker ran.
        width: Seconds of a cell; 0 as long as there are exact bars.
    """

    def __init__(self) -> None:
        self.busy: defaultdict[str, float] = defaultdict(float)
        self.calls: Counter[str] = Counter()
        self.width = 0.0
        self._bars: list[Bar] = []
        self._cells: dict[tuple[str, int, str], list[float]] = {}
        self._coloured: frozenset[str] = frozenset()

    def add(self, bar: Bar) -> None:
        """Add what a worker ran."""
        if bar.worker not in self.busy and len(self.busy) >= MOST_WORKERS:
            bar = bar._replace(worker=OTHER_WORKERS)
        if bar.end < bar.start:
            bar = bar._replace(end=bar.start)
        self.busy[bar.worker] += bar.end - bar.start
        self.calls[bar.worker] += bar.calls
        if self.width:
            self._add_to_cells(bar)
            return
        self._bars.append(bar)
        if len(self._bars) > MOST_BARS:
            self._coarsen()

    def bars(self) -> Iterator[Bar]:
        """Yield all bars; cells are bars, too."""
        yield from self._bars
        for (worker, number, function), (busy, calls, failed) in self._cells.items():
            start = number * self.width
            yield Bar(
                worker,
                start,
                start + self.width,
                function,
                int(calls),
                int(failed),
                min(1.0, busy / self.width),
            )

    def _coarsen(self) -> None:
        self._coloured = frozenset(busiest(times_of(self._bars), COLOURED))
        begin, end = min(bar.start for bar in self._bars), max(bar.end for bar in self._bars)
        self.width = max((end - begin) / FIRST_CELLS, 1e-6)
        bars, self._bars = self._bars, []
        for bar in bars:
            self._add_to_cells(bar)

    def _add_to_cells(self, bar: Bar) -> None:
        # Clocks that differ by a year would make millions of cells.
        while bar.end - bar.start > MOST_CELLS / 10 * self.width:
            self._double()
        function = bar.function if bar.function in self._coloured else OTHERS
        first, last = floor(bar.start / self.width), floor(bar.end / self.width)
        for number in range(first, last + 1):
            start = max(bar.start, number * self.width)
            end = min(bar.end, (number + 1) * self.width)
            cell = self._cells.setdefault((bar.worker, number, function), [0.0, 0, 0])
            cell[0] += end - start
            if number == last:
                cell[1] += bar.calls
                cell[2] += bar.failed
        while len(self._cells) > MOST_CELLS:
            self._double()

    def _double(self) -> None:
        """Join pairs of cells."""
        self.width *= 2
        cells, self._cells = self._cells, {}
        for (worker, number, function), values in cells.items():
            cell = self._cells.setdefault((worker, number // 2, function), [0.0, 0, 0])
            for place, value in enumerate(values):
                cell[place] += value


def times_of(bars: Iterable[Bar]) -> dict[str, float]:
    """Return the seconds that the calls of each function ran."""
    times: defaultdict[str, float] = defaultdict(float)
    for bar in bars:
        times[bar.function] += (bar.end - bar.start) * bar.busy
    return times


def busiest(times: Mapping[str, float], most: int) -> list[str]:
    """Return the names with the most time, at most so many, the busiest first."""
    return sorted(times, key=lambda name: -times[name])[:most]
