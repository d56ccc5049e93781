"""How many calls go into one message, and how many messages are out at once.

Pure arithmetic, no clocks and no engines: measured durations in, a number out.

A message costs about a millisecond of everyone's time, whatever is in it. So calls that take
microseconds must travel together, and calls that take longer than `TARGET` must not, or one worker
would sit on calls that another could run. Three bounds, the smallest wins:

1. `TARGET` seconds of work by what calls of this function took lately; a function never seen starts
   with one call, and so does one that a worker has just given calls of back. For many workers more,
   so that all together need no more than `MESSAGES` in a second;
2. a fair share of what waits, so that all workers have something to do at the end;
3. `GROWTH` times the last size, because the first durations measured may not be typical.
"""

from math import ceil

__all__ = ["GIVE_BACK_AFTER", "LARGEST_BYTES", "BatchSizer", "patience", "window"]

TARGET = 0.05  # Seconds of work in one message: 2 % overhead, and short enough to balance.
GIVE_BACK_AFTER = (
    0.2  # Seconds after which a worker gives back what it has not begun of a message, at least.
)
# Messages a second, at most, that one client and one worker's main process should be busy with.
MESSAGES = 250
LARGEST = 4096  # Calls in one message: bounds the memory that one message takes, as does the next.
LARGEST_BYTES = 1_000_000  # Of the arguments in a message with more than one call.
GROWTH = 8  # Times larger than the last batch, at most.
SHARES = 2  # Batches for each worker process into which the waiting calls are divided.
MEMORY = 0.5  # Weight of the latest batch in the average.


class BatchSizer:
    """Learns how long the calls of one function take, and sizes the next batch.

    Examples:
        >>> sizer = BatchSizer()
        >>> sizer.size(waiting=1000, slots=4)
        1
        >>> sizer.record(calls=1, seconds=0.001)
        >>> sizer.size(waiting=1000, slots=4), sizer.size(waiting=1000, slots=4)
        (8, 50)
        >>> sizer.record(calls=50, seconds=5.0)
        >>> sizer.size(waiting=1000, slots=4)
        1
    """

    __slots__ = ("_last", "_singles", "_was_cut_short", "seconds_per_call")

    def __init__(self) -> None:
        self.seconds_per_call: float | None = None
        self._last = 1
        self._singles = 0
        self._was_cut_short = False

    def record(self, calls: int, seconds: float) -> None:
        """Take in how long a batch of calls took on its worker."""
        each = max(seconds, 0.0) / calls
        if self.seconds_per_call is None or each > 2 * self.seconds_per_call:
            # Getting slower is believed at once: a batch too large hurts more than one too small.
            self.seconds_per_call = each
        else:
            self.seconds_per_call += MEMORY * (each - self.seconds_per_call)

    def cut_short(self) -> None:
        """Take in that a worker gave calls back: what follows is likely to be as slow, whatever the
        average says.
        """
        self._was_cut_short = True

    def size(self, waiting: float, slots: int) -> int:
        """Calls for the next batch.

        Args:
            waiting: Calls not sent yet; infinite where nobody knows.
            slots: Worker processes that can run them.
        """
        if self.seconds_per_call is None:
            return 1
        if self._was_cut_short:
            # As many as can run at once; by then it is known how long they take.
            self._was_cut_short, self._singles = False, slots
        if self._singles:
            self._singles -= 1
            self._last = 1
            return 1
        by_time = _target(slots) / self.seconds_per_call if self.seconds_per_call > 0 else LARGEST
        share = waiting / (SHARES * max(slots, 1))
        size = min(
            by_time, LARGEST, self._last * GROWTH, ceil(share) if share < LARGEST else LARGEST
        )
        self._last = max(int(size), 1)
        return self._last


def _target(slots: int) -> float:
    """Seconds of work in one message for so many worker processes."""
    return max(TARGET, slots / MESSAGES)


def patience(slots: int) -> float:
    """Seconds that a worker may take for one message before it gives back what it has not begun.

    Examples:
        >>> patience(2), patience(100)
        (0.2, 0.8)
    """
    return max(GIVE_BACK_AFTER, 2 * _target(slots))


def window(slots: int) -> int:
    """Messages out at once for so many worker processes: one to run, one ready behind it, and some
    to spare.

    Examples:
        >>> window(2), window(64)
        (6, 130)
    """
    return 2 * max(slots, 1) + 2
