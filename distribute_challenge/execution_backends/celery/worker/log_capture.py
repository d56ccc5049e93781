"""What calls say through `logging` and `warnings`, on its way to their client.

A record goes to the client as a record. The client's own configuration of `logging` decides what
becomes of it, as if the call ran there. If a call has given its loggers handlers of its own, these
have written it already, to standard error most likely: then it is no record any more but a line
like any other.

A warning goes there as a warning, since each process of a worker would show it once.
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
)  # Loggers of what runs the calls.


class Sink(Protocol):
    """What takes records and warnings while a call runs whose client wants them."""

    def add(self, stream: Stream, text: str, facts: dict[str, Any]) -> None:
        """Take one."""


class RecordSender(WorkerHandler):
    """The root logger's handler that gives records to the sink.

    Attributes:
        sink: Takes them; None: no client wants them.
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
            return  # The worker's own handler has said so on standard error.
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
    """Whether a record of a logger has gone to a handler that some call has added."""
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None:
        for handler in logger.handlers:
            if not isinstance(handler, WorkerHandler | logging.NullHandler):
                return True
        logger = logger.parent if logger.propagate else None
    return False


def basic_config(original: Callable[..., None], **options: Any) -> None:
    """Stand in for `logging.basicConfig`, which does nothing where there are handlers: those of the
    worker are none to a call.

    Args:
        original: That function.
        options: What it is given.
    """
    root = logging.getLogger()
    # Told to, it takes away all that there are.
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
    """Stands in for `warnings.showwarning`.

    Args:
        output: The worker's log, where warnings go in any case.
        otherwise: What was there before.

    Attributes:
        sink: As in `RecordSender`.
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
            # The call has put something else in its place: there it expects it.
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
