"""Passes log records and warnings of calls on to their client.

A record goes to the client as a record, and the client's own configuration of `logging` decides
what happens to it, as if the call ran there. If a call has added handlers to its loggers, these
have written the record already, to standard error most likely. Then the client gets that line like
all other lines, and no record.

A warning goes to the client as a warning: if worker processes showed it, each would show it once.
"""

import contextlib
import logging
import sys
import warnings
from collections.abc import Callable
from typing import Any, Final, Protocol, TextIO

from distribute_challenge.core.log_lines import Stream
from distribute_challenge.execution.output import LogStream, OutputLog, WorkerHandler

__all__ = ["RecordSender", "Sink", "WarningSender", "basic_config"]

_OWN: Final = (
    "distribute_challenge",
    "celery",
    "kombu",
    "billiard",
)  # Loggers of the libraries that run the calls; their records are not sent.


class Sink(Protocol):
    """Takes records and warnings while a call runs whose client wants them; see `CallOutput`."""

    def add(self, stream: Stream, text: str, facts: dict[str, Any]) -> None:
        """Take a record or a warning.

        Args:
            stream: ``"logging"`` or ``"warning"``.
            text: Its text.
            facts: Its other attributes.
        """


class RecordSender(WorkerHandler):
    """A handler of the root logger that gives records to a sink; `LogShipping` installs it.

    Attributes:
        sink: Takes the records; None: no client wants them.
    """

    sink: Sink | None = None

    def emit(self, record: logging.LogRecord) -> None:
        sink = self.sink
        if (
            sink is None
            or record.name.partition(".")[0] in _OWN
            or _has_handlers_of_calls(record.name)
        ):
            return
        try:
            text = record.getMessage()
            trace = record.exc_text
            if trace is None and record.exc_info and record.exc_info[0] is not None:
                trace = logging.Formatter().formatException(record.exc_info)
        except Exception:
            return  # The worker's own handler reports the error on standard error.
        facts = {
            "name": record.name,
            "level": record.levelno,
            "level_name": record.levelname,
            "path": record.pathname,
            "line": record.lineno,
            "function": record.funcName or "",
            "thread": record.threadName or "",
            "process": record.process or 0,
            "trace": trace or "",
            "stack": record.stack_info or "",
        }
        sink.add("logging", text.encode(errors="backslashreplace").decode(), facts)


def _has_handlers_of_calls(name: str) -> bool:
    """Tell whether records of a logger go to a handler that a call has added."""
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None:
        for handler in logger.handlers:
            if not isinstance(handler, WorkerHandler | logging.NullHandler):
                return True
        logger = logger.parent if logger.propagate else None
    return False


def basic_config(original: Callable[..., None], **options: Any) -> None:
    """Replace `logging.basicConfig`, which does nothing if the root logger has handlers.

    This function hides the worker's handlers from it, so that it works in a call as in a program.

    Args:
        original: The original function.
        options: Its arguments.
    """
    root = logging.getLogger()
    # With `force`, the original removes all handlers, those of the worker too.
    hidden = (
        []
        if options.get("force")
        else [each for each in root.handlers if isinstance(each, WorkerHandler)]
    )
    for handler in hidden:
        root.removeHandler(handler)
    try:
        original(**options)
    finally:
        root.handlers[:0] = hidden


class WarningSender:
    """Replaces `warnings.showwarning`, and gives warnings to a sink; `LogShipping` installs it.

    Args:
        output: The worker's log, which gets all warnings, too.
        otherwise: The function that it replaces; called while no client wants warnings.

    Attributes:
        sink: Takes the warnings; None: no client wants them.
    """

    sink: Sink | None = None

    def __init__(self, output: OutputLog, otherwise: Any) -> None:
        self._output = output
        self._otherwise = otherwise

    def __call__(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        sink = self.sink
        if sink is None or file is not None:
            self._otherwise(message, category, filename, lineno, file, line)
            return
        formatted = warnings.formatwarning(message, category, filename, lineno, line)
        if not isinstance(sys.stderr, LogStream):
            # The call has replaced `sys.stderr`, and expects its warnings there.
            with contextlib.suppress(Exception):
                sys.stderr.write(formatted)
            return
        for each in formatted.splitlines():
            self._output.write(logging.WARNING, each)
        names = [
            f"{each.__module__}:{each.__qualname__}"
            for each in category.__mro__
            if issubclass(each, Warning)
        ]
        text = str(message).encode(errors="backslashreplace").decode()
        sink.add("warning", text, {"categories": names, "path": filename, "line": lineno})
