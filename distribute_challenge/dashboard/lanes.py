"""What ran in each process, as bars; or how busy each worker was, where there are many processes."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from distribute_challenge.dashboard.snapshot import Bar, Lane
from distribute_challenge.execution_backends.celery.broker.reports import (
    MessageReport,
    ProcessReport,
    WorkerReport,
)

__all__ = ["MOST_LANES", "WINDOW", "Lanes", "function_of"]

WINDOW: Final = 60.0  # Seconds that are shown.
MOST_LANES: Final = 64  # Rows that people can still tell apart on a page.
# Seconds; shorter messages of one function are one bar: a page has a thousand columns or so.
SHORT: Final = WINDOW / 600
MOST_BARS: Final = 1200  # Of a process: two for each column.

_Key = tuple[str, int]  # The worker and the process id.


class Lanes:
    """Keeps the messages that each process has ended in the last minute."""

    def __init__(self) -> None:
        self._bars: dict[_Key, deque[Bar]] = {}

    def take(self, report: WorkerReport) -> None:
        """Take in the messages that a worker has ended.

        Args:
            report: The worker's report.
        """
        for message in report.ended:
            key = report.name, message.pid
            bars = self._bars.setdefault(key, deque(maxlen=MOST_BARS))
            _add(bars, message)

    def forget_before(self, time: float) -> None:
        """Drop what ended before a time, in seconds."""
        for key, bars in list(self._bars.items()):
            while bars and bars[0].began + bars[0].took < time:
                bars.popleft()
            if not bars:
                del self._bars[key]

    def rows(self, reports: Mapping[str, WorkerReport], now: float) -> tuple[list[Lane], int]:
        """Return the lanes in order, and how many more there are.

        Args:
            reports: The latest reports of the workers that are here.
            now: The time, in seconds.
        """
        processes = {
            (name, process.pid): process
            for name, report in reports.items()
            for process in report.processes
        }
        keys = sorted({*processes, *self._bars})
        if len(keys) <= MOST_LANES:
            return [self._lane(key, processes.get(key), now) for key in keys], 0
        lanes = []
        for name in sorted({name for name, _ in keys}):
            own = [self._lane(key, processes.get(key), now) for key in keys if key[0] == name]
            lanes.append(_joined(name, own, now))
        return lanes[:MOST_LANES], max(0, len(lanes) - MOST_LANES)

    def _lane(self, key: _Key, process: ProcessReport | None, now: float) -> Lane:
        worker, pid = key
        bars = list(self._bars.get(key, ()))
        if process is not None and process.running:
            began = process.began
            bars.append(
                Bar(round(began, 3), round(now - began, 3), function_of(process.running), None, 1)
            )
        memory = 0 if process is None else process.memory
        return Lane(worker, pid, memory, process is not None, bars, ())


def function_of(message: str) -> str:
    """Return the name of the function in the name of a message.

    Examples:
        >>> function_of("square ×500"), function_of("square")
        ('square', 'square')
    """
    return message.rpartition(" ×")[0] or message


def _add(bars: deque[Bar], message: MessageReport) -> None:
    function = function_of(message.name)
    if bars and message.took < SHORT:
        last = bars[-1]
        gap = message.began - last.began - last.took
        if gap < SHORT and (last.function, last.state) == (function, message.state):
            took = max(last.took, message.began + message.took - last.began)
            bars[-1] = last._replace(took=round(took, 3), messages=last.messages + 1)
            return
    bars.append(Bar(round(message.began, 3), round(message.took, 3), function, message.state, 1))


def _joined(worker: str, lanes: Iterable[Lane], now: float) -> Lane:
    """Return the lane of a worker: how busy its processes were, second by second."""
    own = list(lanes)
    here = sum(lane.is_here for lane in own)
    busy = [0.0] * int(WINDOW)
    for lane in own:
        for second, share in _seconds(lane.bars, now - WINDOW):
            busy[second] += share
    processes = max(1, here)
    return Lane(
        worker,
        0,
        sum(lane.memory for lane in own),
        here > 0,
        (),
        [round(min(1.0, share / processes), 2) for share in busy],
    )


def _seconds(bars: Iterable[Bar], start: float) -> Iterator[tuple[int, float]]:
    """Yield the seconds since a start that bars reach into, with the share that each takes."""
    for bar in bars:
        begin = max(0.0, bar.began - start)
        end = min(WINDOW, bar.began + bar.took - start)
        second = int(begin)
        while second < end:
            yield second, min(end, second + 1.0) - max(begin, second)
            second += 1
