"""Shows lines of calls in this process, as if the calls ran here.

| line | shown |
| --- | --- |
| ``stdout`` | on `sys.stdout`, behind the names of the call's function and of the worker process |
| ``stderr``, ``notice`` | on `sys.stderr`, in the same way |
| ``logging`` | by the logger of the same name; without `logging` set up, from WARNING on `stderr` |
| ``warning`` | by `warnings`, with this process's filters, once for each place |
"""

import logging
import os
import sys
import warnings
from collections.abc import Iterable, Mapping
from contextvars import Context
from typing import Any, Final, NamedTuple

from distribute_challenge.core.log_lines import SEPARATOR, LogLine

__all__ = ["LogDisplay", "Printout"]

PLAIN_SEPARATOR: Final = " | "  # For streams whose encoding lacks `SEPARATOR`.


_FORMAT: Final = logging.Formatter(
    "%(levelname)s:%(name)s:%(message)s"
)  # The format of `logging.basicConfig`.


class Printout(NamedTuple):
    """Lines of one message that are shown together; `CallLogs` makes it from a reply.

    Attributes:
        source: Names of the function and of the worker process.
        lines: The lines, each with the details of its log record or warning.
        context: Context in which a notebook shows the lines; None: this is no notebook.
    """

    source: str
    lines: list[tuple[LogLine, Mapping[str, Any]]]
    context: Context | None = None

    @property
    def size(self) -> int:
        """Number of characters in the lines."""
        return sum(len(line.text) for line, _ in self.lines)


class LogDisplay:
    """Shows lines of calls in this process; the log printer's thread calls it.

    A stream that fails, such as a pipe without a reader, raises nothing and gets no more lines.

    Guarantees: one thread at a time may call.
    """

    def __init__(self) -> None:
        self._broken: list[Any] = []
        self._registries: dict[str, dict[Any, Any]] = {}

    def show(self, printout: Printout) -> None:
        """Show lines in order; consecutive lines of one stream are written at once."""
        if printout.context is None:
            self._show(printout)
        else:
            printout.context.run(self._show, printout)

    def _show(self, printout: Printout) -> None:
        source = printout.source
        name = ""
        texts: list[str] = []
        for line, facts in printout.lines:
            if line.stream in ("logging", "warning"):
                # Earlier lines are shown before this one, even if they go to another stream.
                self._write(name, source, texts)
                name, texts = "stderr", self._told(source, line, facts)
                continue
            to = "stdout" if line.stream == "stdout" else "stderr"
            if to != name:
                self._write(name, source, texts)
                name, texts = to, []
            texts.append(line.text)
        self._write(name, source, texts)

    def _told(self, source: str, line: LogLine, facts: Mapping[str, Any]) -> list[str]:
        """Give a record to `logging`, or a warning to `warnings`.

        Returns:
            The lines that are still to be written to standard error.
        """
        if line.stream == "warning":
            return self._texts_of_warning(line, facts)
        return _texts_of_record(source, line, facts)

    def _write(self, name: str, source: str, texts: Iterable[str]) -> None:
        stream = getattr(sys, name, None) if texts else None
        if stream is None or any(stream is broken for broken in self._broken):
            return
        text = "\n".join(texts)
        try:
            try:
                stream.write(_with_source(f"{source}{SEPARATOR}", text))
            except UnicodeEncodeError:
                encoding = stream.encoding
                plain = _with_source(f"{source}{PLAIN_SEPARATOR}", text)
                stream.write(plain.encode(encoding, "backslashreplace").decode(encoding))
            stream.flush()
        except Exception:
            # Its reader is gone, or it is closed; further lines would only fill its buffer.
            self._broken.append(stream)

    def _texts_of_warning(self, line: LogLine, facts: Mapping[str, Any]) -> list[str]:
        """Issue a warning.

        Returns:
            The line to write, if a filter made an error of the warning: no code could catch it.
        """
        path, number, category = facts["path"], facts["line"], _category(facts["categories"])
        registry = self._registries.setdefault(path, {})
        try:
            warnings.warn_explicit(
                line.text, category, path, number, module=_module(path), registry=registry
            )
        except Exception:
            return [f"{path}:{number}: {category.__name__}: {line.text}"]
        return []


def _with_source(source: str, text: str) -> str:
    start = f"\n{source}"
    return f"{source}{text.replace(chr(10), start)}\n"


def _texts_of_record(source: str, line: LogLine, facts: Mapping[str, Any]) -> list[str]:
    """Have a logger handle a record.

    Returns:
        The lines to write to standard error, if `logging` is not configured.
    """
    record = _record(source, line, facts)
    logger = logging.getLogger(record.name)
    if not logger.isEnabledFor(record.levelno):
        return []
    if logger.hasHandlers():
        logger.handle(record)
        return []
    last = logging.lastResort
    return (
        _FORMAT.format(record).splitlines()
        if last is not None and record.levelno >= last.level
        else []
    )


def _record(source: str, line: LogLine, facts: Mapping[str, Any]) -> logging.LogRecord:
    record = logging.LogRecord(
        facts["name"],
        facts["level"],
        facts["path"],
        facts["line"],
        line.text,
        None,
        None,
        func=facts["function"],
        sinfo=facts["stack"] or None,
    )
    record.levelname = facts["level_name"]
    record.created, record.msecs = line.time, line.time % 1 * 1000
    record.threadName = facts["thread"]
    record.process, record.processName = facts["process"], source
    record.exc_text = facts["trace"] or None
    return record


def _category(names: Iterable[str]) -> type[Warning]:
    """Return the class of a warning, or its nearest base class that this process has loaded.

    Args:
        names: ``module:qualified name`` of the class and of its bases, in order.
    """
    for name in names:
        module, _, qualified = name.partition(":")
        found: Any = sys.modules.get(module)
        for part in qualified.split("."):
            found = getattr(found, part, None)
        if isinstance(found, type) and issubclass(found, Warning):
            return found
    return UserWarning


def _module(path: str) -> str:
    """Return the name of the module in a file, for the filters of `warnings`.

    A script or a notebook has the name ``__main__``.
    """
    if path.startswith("<") or f"{os.sep}ipykernel_" in path:
        return "__main__"
    for name, module in list(sys.modules.items()):
        if getattr(module, "__dict__", {}).get("__file__") == path:
            return name
    return path.removesuffix(".py")  # As `warnings` does.
