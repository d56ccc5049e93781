"""Lines that calls print and log, as a worker sends them and as `Future.logs` returns them.

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

#: Where a line comes from; a ``"notice"`` is from the library itself, and says what was left out.
Stream = Literal["stdout", "stderr", "logging", "warning", "notice"]

_STREAMS: Final = frozenset(("stdout", "stderr", "logging", "warning", "notice"))
_number: Final = number_up_to()


class LogLine(NamedTuple):
    """One line that a call has printed or logged; ``str()`` of it is its text.

    Attributes:
        stream: ``"stdout"`` or ``"stderr"`` for a printed line; ``"logging"`` for a record of
            `logging` and ``"warning"`` for a warning, whose texts may have several lines;
            ``"notice"`` for a line of the library that says what was left out.
        text: The text, without the line break.
        time: When the worker got it, in seconds since the epoch.

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
    """The last lines of one call, which its future keeps.

    These are at most 1,000 lines, and at most a million characters unless the last line alone has
    more.
    """

    MOST = 1000
    MOST_CHARACTERS = 1_000_000

    def __init__(self) -> None:
        self._lines: deque[LogLine] = deque()
        self._characters = 0

    def add(self, line: LogLine) -> None:
        """Add a line, or several lines of one stream in one text, and drop the oldest if needed.

        Only one thread at a time may call it.
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
        """Return the lines, the oldest first. Any thread may call it."""
        # `deque.copy` is one step under the GIL: `add` cannot run in between.
        return list(self._lines.copy())


class Entry(NamedTuple):
    """A line on its way from worker to client.

    Attributes:
        call: Number of the call in its message.
        line: The line; for a stream also several lines, with line breaks between them.
        facts: Named facts about a log record or a warning, with JSON values.
    """

    call: int
    line: LogLine
    facts: Mapping[str, Any] = {}


def encoded(entries: Iterable[Entry]) -> bytes:
    """Return entries as bytes.

    Examples:
        >>> entry = Entry(3, LogLine("stderr", "hello", 1.5e9))
        >>> decoded(encoded([entry])) == [entry]
        True
    """
    rows = [(call, *line, facts) for call, line, facts in entries]
    # Half a surrogate pair becomes an escape sequence, which JSON allows.
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode(
        errors="backslashreplace"
    )


def decoded(data: bytes | memoryview) -> list[Entry]:
    """Return the entries in bytes.

    Raises:
        ForgedError: The bytes are no encoded entries.
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
