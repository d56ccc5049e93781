"""One logger for the library, and the name of the call that this thread is running.

The worker's log format asks `current_call`, so that whatever a function prints or logs stands in the log with
the name of its call.
"""

import io
import logging
from contextvars import ContextVar

__all__ = ["LogStream", "call_formatter", "current_call", "logger"]

logger = logging.getLogger("distribute_challenge")

#: Name of the running call's function; empty outside any call.
current_call: ContextVar[str] = ContextVar("distribute_challenge_current_call", default="")

FORMAT = "%(asctime)s %(levelname)s %(processName)s [%(call)s] %(message)s"


class _CallFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        record.call = current_call.get() or "-"
        return super().format(record)


def call_formatter() -> logging.Formatter:
    """A formatter whose lines hold the name of the running call.

    Example:
        >>> record = logging.LogRecord("any", logging.INFO, "file", 1, "hello", (), None)
        >>> call_formatter().format(record).partition(" [")[2]
        '-] hello'
    """
    return _CallFormatter(FORMAT)


class LogStream(io.TextIOBase):
    """A text stream that writes whole lines to a logger: what stands in for ``sys.stdout`` in a worker.

    Args:
        target: Where the lines go.
        level: Their level.
    """

    encoding = "utf-8"

    def __init__(self, target: logging.Logger, level: int) -> None:
        super().__init__()
        self._target = target
        self._level = level
        self._begun = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._target.log(self._level, "%s", line)
        return len(text)

    def flush(self) -> None:
        """Write out a line that has no end yet."""
        if self._begun:
            line, self._begun = self._begun, ""
            self._target.log(self._level, "%s", line)
