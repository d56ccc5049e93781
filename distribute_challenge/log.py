"""One logger for the library, and the name of the call that this thread is running.

The worker's log format asks `current_call` so that whatever a function prints or logs stands in the
log with the name of its call.
"""

import logging
from contextvars import ContextVar

__all__ = ["CallNameFilter", "current_call", "logger"]

logger = logging.getLogger("distribute_challenge")

#: Readable name of the running call, such as ``square(2)``; empty outside any call.
current_call: ContextVar[str] = ContextVar("distribute_challenge_current_call", default="")


class CallNameFilter(logging.Filter):
    """Gives every record a ``call`` field for the format string: the running call's name, or ``"-"``."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.call = current_call.get() or "-"
        return True
