"""Sends what the calls of a worker print to the worker's log.

    print() ─► LogStream ─► OutputLog ─► the worker's handlers ─► the log file, the flight recorder
                                   └───► the listener, while a call runs whose client wants output

There is no logger on this way. A call may configure `logging` as it likes, for instance with a
handler that writes to ``sys.stderr``, and its prints still arrive in the log once.
"""

import contextlib
import io
import logging
import os
import select
import threading
from typing import Any, Protocol

from distribute_challenge.log import call_formatter

__all__ = [
    "DescriptorHandler",
    "Listener",
    "LogStream",
    "OutputLog",
    "WorkerHandler",
    "write_whole",
]


class WorkerHandler(logging.Handler):
    """A handler that belongs to a worker's process and was not made by a call."""


class DescriptorHandler(WorkerHandler):
    """A handler that writes lines to a file descriptor.

    A line that cannot be written is lost, because the disk is full or the reader of a pipe is gone.
    That is no error of the call that wrote it. Before the first line that can be written again
    comes one that says how many were lost.

    Args:
        descriptor: Where the lines go. The handler never closes it: a call that reconfigures
            `logging` closes all handlers.

    Examples:
        >>> read, write = os.pipe()
        >>> handler = DescriptorHandler(write)
        >>> handler.emit(logging.makeLogRecord({"msg": "hello"}))
        >>> os.read(read, 100).decode().split()[-2:]
        ['[-]', 'hello']
        >>> os.close(read), os.close(write)
        (None, None)
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.setFormatter(call_formatter())
        self._descriptor = descriptor
        self._lost = 0
        self._reason = ""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:
            # The arguments do not fit the text: `logging` says so on ``sys.stderr``.
            self.handleError(record)
            return
        try:
            if self._lost:
                text = f"{self._lost} lines of this log are lost: {self._reason}"
                self._write(
                    self.format(
                        logging.LogRecord(record.name, logging.WARNING, "", 0, text, None, None)
                    )
                )
                self._lost = 0
            self._write(line)
        except OSError as error:
            self._lost += 1
            self._reason = str(error)

    def _write(self, line: str) -> None:
        write_whole(self._descriptor, f"{line}\n".encode(errors="backslashreplace"))


def write_whole(descriptor: int, data: bytes) -> None:
    """Write bytes to a file number, all of them.

    Raises:
        OSError: They cannot be written.
    """
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:
            # Another program has made the terminal non-blocking for all.
            select.select([], [descriptor], [])


class Listener(Protocol):
    """Receives every line of output in addition to the log, whatever the log's level."""

    def hear(self, descriptor: int, line: str, *, whole: bool) -> None:
        """Receive a line.

        Args:
            descriptor: 1 for standard output, 2 for standard error.
            line: The text of the line, without a line break.
            whole: True if the line ended in a line break; False if it was flushed.
        """


class OutputLog:
    """The log of a worker process: it writes lines to handlers, without a logger.

    Args:
        level: Lines below this level are dropped.
        handlers: The handlers that get the lines. No logger has them, so that no configuration of
            `logging` changes them.

    Attributes:
        listener: Also receives what streams write; None if there is none.
        is_used: Whether something was written to the streams; the reader may reset it.
    """

    listener: Listener | None = None
    is_used = False

    def __init__(self, level: int, *handlers: logging.Handler) -> None:
        self._level = level
        self._handlers = list(handlers)
        self._begun: dict[int, _Lines] = {}

    def add(self, handler: logging.Handler) -> None:
        """Add a handler."""
        self._handlers.append(handler)

    def write(self, level: int, line: str) -> None:
        """Write one line.

        Args:
            level: The level of the line, as in `logging`.
            line: The text of the line, without a line break.
        """
        if level >= self._level:
            record = logging.LogRecord(
                "distribute_challenge.execution.output", level, "", 0, line, None, None
            )
            for handler in self._handlers:
                handler.handle(record)

    def belongs(self, lines: "_Lines", descriptor: int) -> None:
        """Record the stream that writes for a file descriptor from now on.

        Args:
            lines: The binary side of the stream.
            descriptor: 1 for standard output, 2 for standard error.
        """
        self._begun[descriptor] = lines

    def end_lines(self) -> None:
        """Write out the incomplete lines of all streams."""
        for lines in self._begun.values():
            if lines.begun:
                lines.flush()


class LogStream(io.TextIOWrapper):
    """A text stream whose lines go to a log; in a worker it replaces ``sys.stdout``.

    It has all that a file has: a ``buffer``, a ``fileno()``, an ``encoding``. What another program
    writes to that file descriptor appears in the log unchanged, without the name of the call.

    Args:
        descriptor: The file descriptor that ``fileno()`` returns, 1 or 2.
        level: The level of its lines.
        log: The log that gets the lines.
    """

    def __init__(self, descriptor: int, level: int, log: OutputLog) -> None:
        self._made_of = descriptor, level, log
        lines = _Lines(descriptor, level, log)
        # With ``write_through``, each flush that `_Lines` sees is one that the call asked for.
        super().__init__(lines, encoding="utf-8", errors="backslashreplace", write_through=True)
        self.mode = "w"  # type: ignore[misc] # a file has it, and some programs ask for it

    def reopened(self) -> "LogStream":
        """Return a new stream with the settings of this one, which has been closed."""
        return LogStream(*self._made_of)


class _Lines(io.BufferedIOBase):
    """The binary side of a `LogStream`, which splits bytes into lines.

    Guarantees: a line holds the bytes of one thread only. There is no lock that a fork could leave
    locked.
    """

    def __init__(self, descriptor: int, level: int, log: OutputLog) -> None:
        super().__init__()
        self.name = "<stdout>" if descriptor == 1 else "<stderr>"
        self._descriptor = descriptor
        self._level = level
        self._log = log
        self.begun: dict[int, list[bytes]] = {}  # By thread: the pieces of an incomplete line.
        log.belongs(self, descriptor)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: Any) -> int:
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        self._log.is_used = True
        first, *lines = bytes(data).split(b"\n")
        thread = threading.get_ident()
        begun = self.begun.pop(thread, [])  # A flush in another thread may have taken it.
        begun.append(first)
        for line in lines:
            self._end(begun)
            begun = [line]
        if begun != [b""]:
            self.begun[thread] = begun
        return len(data)

    def flush(self) -> None:
        """Write out the incomplete lines."""
        super().flush()
        # Until there is none left: other threads add and remove lines meanwhile.
        with contextlib.suppress(KeyError):
            while True:
                _, begun = self.begun.popitem()
                self._end(begun, whole=False)

    def _end(self, line: list[bytes], *, whole: bool = True) -> None:
        text = b"".join(line).decode(errors="backslashreplace")
        self._log.write(self._level, text)
        listener = self._log.listener
        if listener is not None:
            listener.hear(self._descriptor, text, whole=whole)
