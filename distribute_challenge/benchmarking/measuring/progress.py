"""Shows in the terminal how far the benchmark is."""

import time
from collections import deque
from typing import Any, TextIO

from tqdm import tqdm

__all__ = ["Progress"]

WINDOW = 5.0  # Seconds over which the shown throughput is averaged.


class Progress:
    """A progress bar for the seconds of each step, with the current throughput.

    If the stream is not a terminal, there is a line at the beginning and at the end of each step
    instead.

    Args:
        stream: Stream to write to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bar: Any = None
        self._title = ""
        self._counts: deque[tuple[float, int]] = deque()

    def say(self, text: str) -> None:
        """Write a line, above the bar if there is one."""
        tqdm.write(text, file=self._stream)

    def begin(self, title: str, seconds: float) -> None:
        """Start the bar of a step.

        Args:
            title: What the step measures.
            seconds: How long the step will take.
        """
        self._title = title
        self._counts.clear()
        self._bar = tqdm(
            total=round(seconds, 1),
            desc=title,
            file=self._stream,
            disable=None,
            bar_format="{desc} {bar} {n:.0f}/{total:.0f} s {postfix}",
        )
        if self._bar.disable:
            self.say(f"{title}: {seconds:g} s ...")

    def show(self, elapsed: float, returned: int, in_flight: int) -> None:
        """Bring the bar up to date.

        Args:
            elapsed: Seconds since the step began.
            returned: Calls that came back since then.
            in_flight: Calls that have not come back.
        """
        now = time.monotonic()
        self._counts.append((now, returned))
        while now - self._counts[0][0] > WINDOW:
            self._counts.popleft()
        self._bar.set_postfix_str(
            f"{self._rate():,.1f} calls/s, {in_flight:,} in flight", refresh=False
        )
        self._bar.n = min(elapsed, self._bar.total)
        self._bar.refresh()

    def end(self, result: str) -> None:
        """Leave the bar as it is, and write the step's result below it."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
            self.say(f"{self._title}: {result}")

    def _rate(self) -> float:
        (first, before), (last, now) = self._counts[0], self._counts[-1]
        return (now - before) / (last - first) if last > first else 0.0
