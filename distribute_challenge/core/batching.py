"""Decides how many calls go into one message, and how many messages are out at once.

It is pure arithmetic, without clocks and engines: measured durations in, a number out.

A message costs client and worker about a millisecond, whatever is in it. So calls that take
microseconds must travel together. Calls that take longer than `TARGET` must not, or one worker
would hold calls that another could run. The smallest of three bounds decides:

1. `TARGET` seconds of work, by what calls of this function took lately. A new function starts with
   one call, and so does one of which a worker has just given calls back. For many workers it is
   more, so that all together need at most `MESSAGES` in a second;
2. a fair share of the waiting calls, so that all workers are busy until the end; but calls that
   take less than a message costs are not divided;
3. `GROWTH` times the last size, because the first durations measured may not be typical.

The size of the results makes a fourth: those of one message, which wait for the last call in it,
take `LARGEST_RESULTS` bytes together. Where it is not known, a message has at most `LARGEST_UNKNOWN`
calls, and in any case `LARGEST`.

Calls that are made one by one would each have a message of their own. So while `FEW` messages of a
function are out, calls of it that together take less than a message costs wait for others to share
one with them: until one of these messages is answered, but no longer than `HOLD`.
"""

from math import ceil

__all__ = [
    "FEW",
    "GIVE_BACK_AFTER",
    "HOLD",
    "LARGEST_BYTES",
    "BatchSizer",
    "Room",
    "patience",
    "window",
]

TARGET = 0.05  # Seconds of work in one message: 2 % overhead, and short enough to balance.
# Seconds, at least, after which a worker gives back the calls of a message that it has not begun.
GIVE_BACK_AFTER = 0.2
# Messages a second, at most, that one client and one worker's main process should be busy with.
MESSAGES = 250
LARGEST = 32_768  # Calls in one message.
LARGEST_UNKNOWN = 4096  # The same while the size of their results is not known.
LARGEST_BYTES = 1_000_000  # Size of the arguments in a message with more than one call.
LARGEST_RESULTS = 4_000_000  # Bytes of the results of a message with more than one call.
GROWTH = 8  # The next batch is at most so many times larger than the last.
SHARES = 2  # The waiting calls are divided into so many batches for each worker process.
MEMORY = 0.5  # Weight of the latest batch in the average.
WORTH = 0.001  # Seconds of work that are worth a message, because it costs as much.
FEW = 4  # Messages that are out before short calls wait for others; they keep a client busy.
HOLD = 0.005  # Seconds that they wait at most: twice the way of a message and its reply.


class BatchSizer:
    """Learns how long the calls of one function take, and sizes the next batch.

    Args:
        largest: Most calls in a batch once the size of their results is known. A caller that knows
            the size of some results only, as of those in stores, leaves the default.

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

    __slots__ = (
        "_bytes_each",
        "_largest",
        "_last",
        "_measured",
        "_singles",
        "_was_cut_short",
        "seconds_per_call",
    )

    def __init__(self, largest: int = LARGEST_UNKNOWN) -> None:
        self._largest = largest
        self.seconds_per_call: float | None = None
        self._bytes_each = 0.0
        self._last = 1
        self._measured = 0
        self._singles = 0
        self._was_cut_short = False

    def record(self, calls: int, seconds: float, size: int = 0) -> None:
        """Record how long a batch of calls took on its worker.

        Args:
            calls: Number of calls in the batch.
            seconds: Seconds that they took together.
            size: Bytes of their results; 0 if it is not known.
        """
        self._bytes_each = size / calls
        self._measured = calls
        each = max(seconds, 0.0) / calls
        if self.seconds_per_call is None or each > 2 * self.seconds_per_call:
            # Slower calls count at once: a batch too large does more harm than one too small.
            self.seconds_per_call = each
        else:
            self.seconds_per_call += MEMORY * (each - self.seconds_per_call)

    def cut_short(self) -> None:
        """Record that a worker gave calls back: the next calls are likely to be as slow.

        The average is ignored until their durations are known.
        """
        self._was_cut_short = True

    def is_worth_a_batch(self, waiting: int) -> bool:
        """Whether so many calls take as long as a message costs, as far as it is known.

        Examples:
            >>> sizer = BatchSizer()
            >>> sizer.record(calls=1, seconds=0.0001)
            >>> sizer.is_worth_a_batch(9), sizer.is_worth_a_batch(10)
            (False, True)
        """
        each = self.seconds_per_call
        if each is None or self._was_cut_short or self._singles:
            return True
        return waiting * each >= WORTH

    def size(self, waiting: float, slots: int) -> int:
        """Return the number of calls for the next batch.

        Args:
            waiting: Number of calls not sent yet; infinite if it is unknown.
            slots: Number of worker processes that can run them.
        """
        if self.seconds_per_call is None:
            return 1
        if self._was_cut_short:
            # One call for each slot: when these are done, their durations are known.
            self._was_cut_short, self._singles = False, slots
        if self._singles:
            self._singles -= 1
            self._last = 1
            return 1
        each = self.seconds_per_call
        most = self._most()
        by_time = _target(slots) / each if each > 0 else most
        share = waiting / (SHARES * max(slots, 1))
        if each * share < WORTH:
            share = min(waiting, WORTH / each) if each > 0 else waiting
        size = min(by_time, most, self._last * GROWTH, ceil(share) if share < most else most)
        self._last = max(int(size), 1)
        return self._last

    def _most(self) -> float:
        """The number of calls of which one message can take the results."""
        if not self._bytes_each:
            return LARGEST_UNKNOWN
        return min(self._largest, LARGEST_RESULTS / self._bytes_each)


class Room:
    """The room in one message for calls that follow those whose results they need.

    A call fits if it is known how long calls of its function take, and if the message then takes no
    longer, and is no larger, than one with calls of a single function may be.

    Args:
        slots: Number of worker processes that can run them.
        sizer: Knows how long the calls take that the message has already.
        calls: Number of these calls.
        size: Size of their arguments, in bytes.

    Examples:
        >>> sizer, other = BatchSizer(), BatchSizer()
        >>> sizer.record(calls=1, seconds=0.02)
        >>> room = Room(2, sizer, 1, 100)
        >>> room.take(sizer, 100), room.take(sizer, 100), room.take(other, 100)
        (True, False, False)
    """

    __slots__ = ("_argument_bytes", "_calls", "_result_bytes", "_seconds", "_taken")

    def __init__(self, slots: int, sizer: BatchSizer, calls: int, size: int) -> None:
        each = sizer.seconds_per_call
        self._calls = LARGEST_UNKNOWN - calls
        self._seconds = 0.0 if each is None else _target(slots) - calls * each
        self._argument_bytes = LARGEST_BYTES - size
        self._result_bytes = LARGEST_RESULTS - calls * sizer._bytes_each
        self._taken: dict[BatchSizer, int] = {}

    def take(self, sizer: BatchSizer, size: int) -> bool:
        """Take the room for one call; False if there is none.

        Args:
            sizer: Knows how long calls like this one take.
            size: Size of its arguments, in bytes.
        """
        each, taken = sizer.seconds_per_call, self._taken.get(sizer, 0)
        if (
            each is None
            or sizer._was_cut_short
            or self._calls < 1
            or taken >= GROWTH * sizer._measured
            or each > self._seconds
            or size > self._argument_bytes
            or sizer._bytes_each > self._result_bytes
        ):
            return False
        self._taken[sizer] = taken + 1
        self._calls -= 1
        self._seconds -= each
        self._argument_bytes -= size
        self._result_bytes -= sizer._bytes_each
        return True


def _target(slots: int) -> float:
    """Return the seconds of work in one message for so many worker processes."""
    return max(TARGET, slots / MESSAGES)


def patience(slots: int) -> float:
    """Return the seconds after which a worker gives back the calls that it has not begun.

    Examples:
        >>> patience(2), patience(100)
        (0.2, 0.8)
    """
    return max(GIVE_BACK_AFTER, 2 * _target(slots))


def window(slots: int) -> int:
    """Return how many messages may be out at once for so many worker processes.

    For each process there is one to run and one ready behind it, and there are two to spare.

    Examples:
        >>> window(2), window(64)
        (6, 130)
    """
    return 2 * max(slots, 1) + 2
