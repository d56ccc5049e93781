"""The log of a worker's processes: one format for everything, and standard streams that lead there."""

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

_output = OutputLog(logging.INFO)  # Goes nowhere until Celery sets up its log.


def output_log() -> OutputLog:
    """Where what calls print goes in this process."""
    return _output


def set_up_logging(loglevel: Any = None, logfile: str | None = None, **_: Any) -> None:
    """Give the process its log, with the name of the call that was running in each line; for a
    signal of Celery's.
    """
    global _output
    root = logging.getLogger()
    root.setLevel(loglevel or logging.INFO)
    # A copy of the number, as a call may close number 2 or put another file there.
    descriptor = (
        os.open(logfile, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666) if logfile else os.dup(2)
    )
    # Two handlers: a call may change the one that a logger has, its format for instance.
    root.handlers[:] = [DescriptorHandler(descriptor)]
    _output = OutputLog(root.level, DescriptorHandler(descriptor))
    # Celery's own line for each batch would drown what the calls print.
    for name in ("celery.app.trace", "celery.worker.strategy"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # As would its line for each that failed, which says less than ours.
    logging.getLogger("celery.app.trace").addFilter(is_unreported)


def redirect_streams() -> None:
    """For a child: have what it prints in the log, and keep its last lines where they outlive it."""
    record_this_process(_output)
    # The second pair is what programs go back to that have put something else in place of the
    # first.
    sys.stdout = sys.__stdout__ = LogStream(1, logging.INFO, _output)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = LogStream(2, logging.WARNING, _output)  # type: ignore[misc]
