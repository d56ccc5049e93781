"""What the calls of a worker print, and the log that it goes to.

    print() ─► LogStream ─► OutputLog ─► handlers of the worker's own ─► the log file, the flight recorder
                                   └───► the listener, while a call runs whose client wants to see it

No logger stands on this way. A call may configure `logging` as it likes, with a handler that writes
to ``sys.stderr`` for instance, and its prints still arrive in the log once.
"""

import contextlib
import io
import logging
import os
import select
import threading
from typing import Any, Protocol

from distribute_challenge.log import call_formatter

__all__ = ["DescriptorHandler", "Listener", "LogStream", "OutputLog", "WorkerHandler"]


class WorkerHandler(logging.Handler):
    """A handler that a worker's process has by itself, and no call has made."""


class DescriptorHandler(WorkerHandler):
    """Writes lines to a file descriptor.

    A line that cannot be written is lost, as the disk is full or the reader of a pipe has gone.
    That is no error of the call that wrote it. The first line that can be written again comes after
    one that says how many were lost.

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
            self.handleError(
                record
            )  # The arguments do not fit the text: `logging` says so on ``sys.stderr``.
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
        data = memoryview(f"{line}\n".encode(errors="backslashreplace"))
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:
                # Another program has made the terminal non-blocking for all.
                select.select([], [self._descriptor], [])


class Listener(Protocol):
    """Gets lines of output besides the log, whatever the log's level."""

    def hear(self, descriptor: int, line: str, *, whole: bool) -> None:
        """Take a line.

        Args:
            descriptor: 1 for standard output, 2 for standard error.
            line: Its text, without a line break.
            whole: Whether it ended in a line break; else it was flushed.
        """


class OutputLog:
    """Writes lines to handlers, without a logger.

    Args:
        level: Lines below it are dropped.
        handlers: Where lines go. No logger has them, so that no configuration of `logging` changes
            them.

    Attributes:
        listener: Gets what streams write, too; None: there is none.
        is_used: Whether something was written to its streams; for others to take back.
    """

    listener: Listener | None = None
    is_used = False

    def __init__(self, level: int, *handlers: logging.Handler) -> None:
        self._level = level
        self._handlers = list(handlers)
        self._begun: dict[int, _Lines] = {}

    def add(self, handler: logging.Handler) -> None:
        """Write to one more handler."""
        self._handlers.append(handler)

    def write(self, level: int, line: str) -> None:
        """Write one line.

        Args:
            level: Its level, as `logging` counts.
            line: Its text, without a line break.
        """
        if level >= self._level:
            record = logging.LogRecord(
                "distribute_challenge.execution.output", level, "", 0, line, None, None
            )
            for handler in self._handlers:
                handler.handle(record)

    def belongs(self, lines: "_Lines", descriptor: int) -> None:
        """Note the stream that stands for a file number now."""
        self._begun[descriptor] = lines

    def end_lines(self) -> None:
        """Write out the lines of its streams that have no end yet."""
        for lines in self._begun.values():
            if lines.begun:
                lines.flush()


class LogStream(io.TextIOWrapper):
    """A text stream whose lines go to a log: what stands in for ``sys.stdout`` in a worker.

    It has all that a file has: a ``buffer``, a ``fileno()``, an ``encoding``. What a program of its
    own writes to that file number stands in the log as it is, without the name of the call.

    Args:
        descriptor: The file number that it gives away, 1 or 2.
        level: The level of its lines.
        log: Where they go.
    """

    def __init__(self, descriptor: int, level: int, log: OutputLog) -> None:
        self._made_of = descriptor, level, log
        lines = _Lines(descriptor, level, log)
        # Each write at once: a flush is then one that the call asked for.
        super().__init__(lines, encoding="utf-8", errors="backslashreplace", write_through=True)
        self.mode = "w"  # type: ignore[misc] # a file has it, and some programs ask for it

    def reopened(self) -> "LogStream":
        """A new stream like this one, which has been closed."""
        return LogStream(*self._made_of)


class _Lines(io.BufferedIOBase):
    """The bytes of a `LogStream`, cut into lines.

    Guarantees: threads do not mix within a line. There is no lock, which a fork could leave locked.
    """

    def __init__(self, descriptor: int, level: int, log: OutputLog) -> None:
        super().__init__()
        self.name = "<stdout>" if descriptor == 1 else "<stderr>"
        self._descriptor = descriptor
        self._level = level
        self._log = log
        self.begun: dict[int, list[bytes]] = {}  # By thread: a line that has no end yet, in pieces.
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
        begun = self.begun.pop(thread, [])  # A flush in another thread takes it, too.
        begun.append(first)
        for line in lines:
            self._end(begun)
            begun = [line]
        if begun != [b""]:
            self.begun[thread] = begun
        return len(data)

    def flush(self) -> None:
        """Write out the lines that have no end yet."""
        super().flush()
        # Until there are none: other threads add and take lines meanwhile.
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
