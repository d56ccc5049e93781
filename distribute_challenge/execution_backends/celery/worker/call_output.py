r"""Holds the lines that the calls of one message have printed, until they are sent.

Limits, and lines that are not complete:

- A call, or a chunk of a map, may send a million characters a second. Lines beyond that in the same
  second are only counted, and one notice says how many they were. The worker's log has them.
- A line that is flushed before its end is sent as it is. Text that follows at once is joined to it.
- Of a line that is rewritten with ``\r``, as progress bars do it, only the latest state is sent:
  every few seconds, and at its end.

Guarantees: any thread may write. Writing waits for nothing and takes no lock that a fork could
leave locked; a line takes less than a tenth of the time that it takes to write it into the log. One
thread at a time may call `taken`.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sized
from typing import Any, Final, NamedTuple

from distribute_challenge.core import clock
from distribute_challenge.core.log_lines import Entry, LogLine, Stream

__all__ = ["CallOutput"]

WINDOW: Final = 1.0  # Seconds.
MOST_IN_A_WINDOW: Final = 1_000_000  # Characters.
MOST_HELD: Final = 4_000_000  # Characters that wait to be sent, while Redis is away, say.
BAR_EVERY: Final = 5.0  # Seconds between two states that are sent of a line that is rewritten.
TICK: Final = 0.01  # Seconds; lines within one tick get the same time.

_monotonic: Final = clock.monotonic
_STREAMS: Final[dict[int, Stream]] = {1: "stdout", 2: "stderr"}


#: A line: number of its call, file descriptor, time, text, whether it is complete. It is a plain
#: tuple, as there may be very many.
_Line = tuple[int, int, float, str, bool]
_Item = _Line | Entry


class _Bar(NamedTuple):
    """A line that is rewritten, such as a progress bar.

    Attributes:
        state: Its latest text.
        due: When it is to be sent next, in seconds of the monotonic clock.
        was_sent: Whether this state was sent.
    """

    state: str
    due: float
    was_sent: bool


class CallOutput:
    """Holds the lines of one message's calls; `LogShipping` takes and sends them.

    Args:
        wake: Called when there is something to send.

    Attributes:
        ended: Its length is the number of calls of the message that have ended.
    """

    ended: Sized

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._items: deque[_Item] = deque()
        self.begin()

    def begin(self) -> None:
        """Drop all lines, and begin with another message."""
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
        """Take a line of a stream; see `output.Listener`.

        Args:
            descriptor: 1 for standard output, 2 for standard error.
            line: The line, without its end.
            whole: Whether the line has an end.
        """
        # The code of `_has_room` and `_append` is repeated here instead of called, as there may be
        # a hundred thousand lines in a second.
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
        """Take a record of `logging`, or a warning; see `log_capture.Sink`."""
        if self._has_room(len(text) + 1):
            self._append_entry(stream, text, facts)

    def end_call(self) -> None:
        """Note that a call has ended, and queue the text of it that was held back."""
        for descriptor in list(self._bars):
            self._end_bar(descriptor)
        self._tell_of_left()
        self._is_full = False
        self._window_ends = self._tick_ends = 0.0

    def renew(self) -> None:
        """Take lines again once the second is over in which the limit was reached.

        The thread that calls `taken` calls this regularly.
        """
        if self._is_full and _monotonic() >= self._window_ends:
            self._tick_ends = 0.0
            self._is_full = False

    def taken(self) -> list[Entry]:
        """Remove and return what is to be sent.

        Consecutive lines form one entry, with line breaks between them.
        """
        return list(_grouped([self._items.popleft() for _ in range(len(self._items))]))

    def sent(self, characters: int) -> None:
        """Make room for more, as taken lines were sent.

        Args:
            characters: Number of characters in these lines.
        """
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
        self._is_full = True  # All lines up to the window's end are left out.
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
    """Join consecutive lines of one call, stream and time to one entry."""
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
