"""The library's logger, and the name of the call that this thread runs.

The worker's log format reads `current_call`, so that each line that a function prints or logs
carries the name of its call.
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
    """Return a formatter that adds the name of the running call to each line.

    Examples:
        >>> record = logging.LogRecord("any", logging.INFO, "file", 1, "hello", (), None)
        >>> call_formatter().format(record).partition(" [")[2]
        '-] hello'
    """
    return _CallFormatter(FORMAT)
