"""Sets up the log of a worker's processes: one format, and standard streams that go to the log."""

import logging
import os
import sys
from typing import Any

from distribute_challenge.execution.output import DescriptorHandler, LogStream, OutputLog
from distribute_challenge.execution_backends.celery.worker.failed_task import is_unreported
from distribute_challenge.execution_backends.celery.worker.flight_recorder import (
    record_this_process,
)

__all__ = ["output_log", "redirect_streams", "set_up_logging"]

_output = OutputLog(logging.INFO)  # It drops all lines until Celery sets up its log.


def output_log() -> OutputLog:
    """Return the log that takes what calls print in this process."""
    return _output


def set_up_logging(loglevel: Any = None, logfile: str | None = None, **_: Any) -> None:
    """Set up the log of this process; connected to Celery's signal ``setup_logging``.

    Each line has the name of the call that was running.

    Args:
        loglevel: The level; None: INFO.
        logfile: Path of the file to append to; None: standard error.
    """
    global _output
    root = logging.getLogger()
    root.setLevel(loglevel or logging.INFO)
    # A duplicate, as a call may close descriptor 2, or open another file there.
    descriptor = (
        os.open(logfile, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666) if logfile else os.dup(2)
    )
    # Two handlers, as a call may change the root logger's one, its format for instance.
    root.handlers[:] = [DescriptorHandler(descriptor)]
    _output = OutputLog(root.level, DescriptorHandler(descriptor))
    # Celery's own line for each batch would drown what the calls print.
    for name in ("celery.app.trace", "celery.worker.strategy"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # So would its line for each failed batch, which says less than ours.
    logging.getLogger("celery.app.trace").addFilter(is_unreported)


def redirect_streams() -> None:
    """Have a child's prints go to the log, and its last lines to a file that outlives the child."""
    record_this_process(_output)
    # `sys.__stdout__` too: programs that replace `sys.stdout` for a while restore it from there.
    sys.stdout = sys.__stdout__ = LogStream(1, logging.INFO, _output)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = LogStream(2, logging.WARNING, _output)  # type: ignore[misc]
