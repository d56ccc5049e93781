"""What a call prints and logs, line by line: as it travels from a worker, and as a user gets it
from `Future.logs`.

On the wire, the lines of one message are a JSON list. Nothing of it is unpickled.
"""

import json
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, NamedTuple

from distribute_challenge.core.schema import number_up_to, seconds, text
from distribute_challenge.errors import ForgedError

__all__ = ["SEPARATOR", "Entry", "LastLines", "LogLine", "Stream", "decoded", "encoded"]

SEPARATOR: Final = " │ "  # Between the source of a line and its text, on a screen.

#: Where a line comes from; ``"notice"`` is the library's own, which says what was left out.
Stream = Literal["stdout", "stderr", "logging", "warning", "notice"]

_STREAMS: Final = frozenset(("stdout", "stderr", "logging", "warning", "notice"))
_number: Final = number_up_to()


class LogLine(NamedTuple):
    """One line that a call has printed or logged; its text as a string.

    Attributes:
        stream: ``"stdout"`` or ``"stderr"`` for what it printed; ``"logging"`` for a record of
            `logging` and ``"warning"`` for one of `warnings`, whose texts may have several lines;
            ``"notice"`` for one of the library that says what was left out.
        text: The text, without the line break.
        time: When the worker had it, in seconds since the epoch.

    Examples:
        >>> print(LogLine("stdout", "half done", 1.5e9))
        half done
    """

    stream: Stream
    text: str
    time: float

    def __str__(self) -> str:
        return self.text


class LastLines:
    """The last lines of one call: at most 1,000, and at most a million characters unless the last
    line alone has more.
    """

    MOST = 1000
    MOST_CHARACTERS = 1_000_000

    def __init__(self) -> None:
        self._lines: deque[LogLine] = deque()
        self._characters = 0

    def add(self, line: LogLine) -> None:
        """Add a line, or several of a stream, and forget those that are too many; one thread at a
        time.
        """
        if line.stream in ("stdout", "stderr"):
            texts = line.text.split("\n")[-self.MOST :]
            self._lines.extend(LogLine(line.stream, text, line.time) for text in texts)
            self._characters += sum(map(len, texts))
        else:
            self._lines.append(line)
            self._characters += len(line.text)
        while len(self._lines) > self.MOST or (
            self._characters > self.MOST_CHARACTERS and len(self._lines) > 1
        ):
            self._characters -= len(self._lines.popleft().text)

    def all(self) -> list[LogLine]:
        """The lines, the oldest first; any thread may ask."""
        # A copy is made in one step, which `add` does not come between.
        return list(self._lines.copy())


class Entry(NamedTuple):
    """A line on its way.

    Attributes:
        call: Number of the call in its message.
        line: The line; of a stream also several, with line breaks between them.
        facts: What else is known of a record or a warning, by name; values as JSON has them.
    """

    call: int
    line: LogLine
    facts: Mapping[str, Any] = {}


def encoded(entries: Iterable[Entry]) -> bytes:
    """Entries as bytes.

    Examples:
        >>> entry = Entry(3, LogLine("stderr", "hello", 1.5e9))
        >>> decoded(encoded([entry])) == [entry]
        True
    """
    rows = [(call, *line, facts) for call, line, facts in entries]
    # Half a surrogate pair becomes an escape, which JSON has, too.
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode(
        errors="backslashreplace"
    )


def decoded(data: bytes | memoryview) -> list[Entry]:
    """The entries in bytes.

    Raises:
        ForgedError: There are none in them.
    """
    try:
        rows = json.loads(bytes(data))
        entries = [
            Entry(call, LogLine(stream, words, time), facts)
            for call, stream, words, time, facts in rows
        ]
    except (ValueError, TypeError, RecursionError):
        raise ForgedError("its lines are in no form that this version knows") from None
    if not (isinstance(rows, list) and all(map(_fits, entries))):
        raise ForgedError("it has a line that none can have")
    return entries


def _fits(entry: Entry) -> bool:
    call, (stream, words, time), facts = entry
    return (
        _number(call)
        and text(stream)
        and stream in _STREAMS
        and text(words)
        and seconds(time)
        and isinstance(facts, dict)
    )
