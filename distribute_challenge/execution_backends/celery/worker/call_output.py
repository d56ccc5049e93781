r"""Lines that the calls of one message have printed, until they are sent; and which of them are
not.

What is bounded, and what is made of half lines:

- A call, or a chunk of a map, may send a million characters a second. What it prints beyond that in
  the same second is counted, and one notice says how much it was. The worker's log has it.
- A line that is flushed before it has an end is sent as it is. What follows at once is joined to
  it.
- Of a line that is written over and over again, with ``\r`` as progress bars do it, the latest
  state is sent: every few seconds, and at its end.

Guarantees: any thread may write. It waits for nothing, there is no lock that a fork could leave
locked, and a line takes less than a tenth of what it takes to write it into the log. One thread at
a time may call `taken`.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sized
from typing import Any, Final, NamedTuple

from distribute_challenge.core import clock
from distribute_challenge.core.log_lines import Entry, LogLine, Stream

__all__ = ["CallOutput"]

WINDOW: Final = 1.0  # Seconds.
MOST_IN_A_WINDOW: Final = 1_000_000  # Characters.
MOST_HELD: Final = 4_000_000  # Characters that wait to be sent, as while Redis is away.
BAR_EVERY: Final = 5.0  # Seconds between two states of a line that is written over.
TICK: Final = 0.01  # Seconds; lines of less than that have the same time.

_monotonic: Final = clock.monotonic
_STREAMS: Final[dict[int, Stream]] = {1: "stdout", 2: "stderr"}


#: A line: its call, its file number, its time, its text, whether it has an end. No class of ours,
#: as there may be very many.
_Line = tuple[int, int, float, str, bool]
_Item = _Line | Entry


class _Bar(NamedTuple):
    """A line that is written over: its state, when it is to be sent next, by the monotonic clock,
    and whether it was.
    """

    state: str
    due: float
    was_sent: bool


class CallOutput:
    """Holds the lines of a message's calls.

    Args:
        wake: Called when there is something to send.

    Attributes:
        ended: Holds something for each call of the message that has ended: so many have.
    """

    ended: Sized

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._items: deque[_Item] = deque()
        self.begin()

    def begin(self) -> None:
        """Begin with another message."""
        self._items.clear()
        self.ended = ()
        self._call = 0
        self._window_ends = self._tick_ends = 0.0
        self._time = 0.0
        self._room = self._held = 0
        self._left_lines = self._left_characters = 0
        self._is_full = False
        self._bars: dict[int, _Bar] = {}

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to send."""
        return not self._items

    def hear(self, descriptor: int, line: str, *, whole: bool) -> None:
        """Take a line of a stream; see `output.Listener`."""
        # As `_has_room` and `_append` have it, without calling them: there may be a hundred
        # thousand lines in a second.
        size = len(line) + 1
        if self._is_full:
            self._left_lines += 1
            self._left_characters += size
            return
        now = _monotonic()
        if now >= self._tick_ends:
            self._tick(now)
        self._room -= size
        if self._room < 0 or self._held >= MOST_HELD:
            self._leave_out(size)
        elif "\r" in line or (self._bars and whole and not line):
            self._take_bar(descriptor, line, whole=whole)
        else:
            self._held += size
            self._items.append((self._call, descriptor, self._time, line, whole))
            self._wake()

    def add(self, stream: Stream, text: str, facts: dict[str, Any]) -> None:
        """Take a record of `logging`, or a warning."""
        if self._has_room(len(text) + 1):
            self._append_entry(stream, text, facts)

    def end_call(self) -> None:
        """A call has ended: what was kept back of it is to be sent, too."""
        for descriptor in list(self._bars):
            self._end_bar(descriptor)
        self._tell_of_left()
        self._is_full = False
        self._window_ends = self._tick_ends = 0.0

    def renew(self) -> None:
        """Have room again if the second is over in which there was none; for the thread that calls
        `taken`, now and then.
        """
        if self._is_full and _monotonic() >= self._window_ends:
            self._tick_ends = 0.0
            self._is_full = False

    def taken(self) -> list[Entry]:
        """What is there to be sent; it is not held here any more. Lines in a row are one entry,
        with line breaks between them.
        """
        return list(_grouped([self._items.popleft() for _ in range(len(self._items))]))

    def sent(self, characters: int) -> None:
        """So much of what was taken is on its way: there is room for more."""
        self._held -= characters

    def _has_room(self, size: int) -> bool:
        now = _monotonic()
        if now >= self._tick_ends and not self._is_full:
            self._tick(now)
        self._room -= size
        if self._is_full or self._room < 0 or self._held >= MOST_HELD:
            self._leave_out(size)
            return False
        return True

    def _tick(self, now: float) -> None:
        if now >= self._window_ends:
            self._tell_of_left()
            self._call, self._window_ends, self._room = (
                len(self.ended),
                now + WINDOW,
                MOST_IN_A_WINDOW,
            )
        self._tick_ends, self._time = now + TICK, clock.now()

    def _leave_out(self, size: int) -> None:
        self._is_full = True  # What is left out is left out in one piece, up to the window's end.
        self._left_lines += 1
        self._left_characters += size

    def _tell_of_left(self) -> None:
        lines, characters = self._left_lines, self._left_characters
        if lines:
            self._left_lines = self._left_characters = 0
            text = (
                f"{lines:,} lines of {max(1, characters // 1000):,} kB are left out here: a call "
                f"shows at most 1 MB a "
                "second. The worker's log has them"
            )
            self._append_entry("notice", text, {})

    def _take_bar(self, descriptor: int, line: str, *, whole: bool) -> None:
        if not line:
            if descriptor in self._bars:
                self._end_bar(descriptor)
            else:
                self._append(descriptor, line, whole=True)
            return
        state = next((part for part in reversed(line.split("\r")) if part.strip()), "").rstrip()
        if whole or not state:
            self._bars.pop(descriptor, None)
            if state:
                self._append(descriptor, state, whole=True)
            return
        now = _monotonic()
        known = self._bars.get(descriptor)
        due = now + BAR_EVERY if known is None else known.due
        self._bars[descriptor] = _Bar(state, due, was_sent=False)
        if now >= due:
            self._bars[descriptor] = _Bar(state, now + BAR_EVERY, was_sent=True)
            self._append(descriptor, state, whole=True)

    def _end_bar(self, descriptor: int) -> None:
        bar = self._bars.pop(descriptor)
        if not bar.was_sent:
            self._append(descriptor, bar.state, whole=True)

    def _append(self, descriptor: int, line: str, *, whole: bool) -> None:
        self._held += len(line) + 1
        self._items.append((self._call, descriptor, self._time, line, whole))
        self._wake()

    def _append_entry(self, stream: Stream, text: str, facts: dict[str, Any]) -> None:
        self._held += len(text) + 1
        self._items.append(Entry(self._call, LogLine(stream, text, clock.now()), facts))
        self._wake()


def _grouped(items: list[_Item]) -> Iterator[Entry]:
    """Lines in a row of one call, stream and time as one entry."""
    texts: list[str] = []
    group: tuple[Any, ...] = ()
    is_open = False
    for item in items:
        if isinstance(item, Entry):
            yield from _as_entry(group, texts)
            yield item
            group, texts, is_open = (), [], False
            continue
        call, descriptor, time, text, whole = item
        if is_open and group[:2] == (call, descriptor):
            texts[-1] += text
        elif group == (call, descriptor, time):
            texts.append(text)
        else:
            yield from _as_entry(group, texts)
            group, texts = (call, descriptor, time), [text]
        is_open = not whole
    yield from _as_entry(group, texts)


def _as_entry(group: tuple[Any, ...], texts: list[str]) -> Iterator[Entry]:
    if texts:
        call, descriptor, time = group
        yield Entry(call, LogLine(_STREAMS[descriptor], "\n".join(texts), time))
