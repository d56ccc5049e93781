"""One logger for the library, and the name of the call that this thread is running.

The worker's log format asks `current_call`, so that whatever a function prints or logs stands in
the log with the name of its call.
"""

import logging
from contextvars import ContextVar

__all__ = ["call_formatter", "current_call", "logger"]

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

    Examples:
        >>> record = logging.LogRecord("any", logging.INFO, "file", 1, "hello", (), None)
        >>> call_formatter().format(record).partition(" [")[2]
        '-] hello'
    """
    return _CallFormatter(FORMAT)
