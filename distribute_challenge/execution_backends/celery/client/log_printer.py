"""The thread that shows what calls print.

The thread does nothing else: a terminal may be stopped, or the reader of a pipe slow, and the
client's other threads must go on, or its workers would take it for dead.
"""

import atexit
import contextlib
import sys
import threading
from collections import deque
from typing import Final

from distribute_challenge.core import clock
from distribute_challenge.core.condition import Condition
from distribute_challenge.core.log_lines import LogLine
from distribute_challenge.execution_backends.celery.client.complaints import Complaints
from distribute_challenge.execution_backends.celery.client.log_display import LogDisplay, Printout

__all__ = ["LogPrinter"]

MOST_WAITING: Final = 16_000_000  # Characters that wait to be shown; further lines are left out.
SHOWN_WITHIN: Final = 0.5  # Seconds that the outcome of a call waits for its lines to be shown.


class LogPrinter:
    """Shows lines one after the other, in a thread of its own; `CallLogs` gives it the lines.

    Guarantees: ``_changed`` protects everything but the printout that the thread is showing. `wait`
    takes `SHOWN_WITHIN` at most; after one wait has timed out, `wait` returns at once until all
    lines are shown.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._display = LogDisplay()
        self._complaints = Complaints()
        self._waiting: deque[Printout] = deque()
        self._characters = 0
        self._left_out = 0
        self._put = self._shown = 0
        self._is_stuck = False
        self._is_closed = False
        self._thread: threading.Thread | None = None

    def put(self, printout: Printout) -> int:
        """Queue lines to be shown.

        Returns:
            The number to give to `wait`.
        """
        with self._changed:
            if self._is_closed:
                return 0
            if self._characters > MOST_WAITING:
                self._left_out += len(printout.lines)
                return self._put
            if self._left_out:
                text = (
                    f"{self._left_out:,} lines are left out here: "
                    f"this program's output takes them more slowly than they come"
                )
                printout.lines.insert(0, (LogLine("notice", text, clock.now()), {}))
                self._left_out = 0
            self._waiting.append(printout)
            self._characters += printout.size
            self._put += 1
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="distribute_challenge logs", daemon=True
                )
                with contextlib.suppress(RuntimeError):  # The interpreter is ending.
                    self._thread.start()
                # A thread that writes while the interpreter ends would crash it.
                atexit.register(self.close)
            return self._put

    def wait(self, number: int) -> None:
        """Wait until all lines up to a number are shown.

        Args:
            number: As `put` returned it.
        """
        if self._shown >= number or threading.current_thread() is self._thread:
            return
        with self._changed:
            timeout = 0.0 if self._is_stuck else SHOWN_WITHIN
            self._is_stuck = not self._changed.wait_for(
                lambda: self._shown >= number or self._is_closed, timeout
            )

    def close(self) -> None:
        """Show the lines that wait, and end the thread.

        Like ``print``, this takes as long as the output needs. After Ctrl+C the waiting lines are
        thrown away, and `close` only waits for the lines that the thread is writing.
        """
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            thread = self._thread
        atexit.unregister(self.close)
        if thread is None or not thread.is_alive() or thread is threading.current_thread():
            return
        if _was_interrupted():
            self._forget()
        try:
            thread.join()
        except KeyboardInterrupt:
            self._forget()
            raise

    def _forget(self) -> None:
        with self._changed:
            self._waiting.clear()

    def _run(self) -> None:
        while (printout := self._next()) is not None:
            try:
                self._display.show(printout)
            except BaseException as error:  # From the user's code: a `logging` handler, say.
                self._complaints.add("what a call has printed cannot be shown", error)
            with self._changed:
                self._shown += 1
                self._is_stuck = self._is_stuck and bool(self._waiting)
                self._changed.notify_all()

    def _next(self) -> Printout | None:
        with self._changed:
            while not self._waiting:
                if self._is_closed:
                    return None
                self._changed.wait()
            printout = self._waiting.popleft()
            self._characters -= printout.size
            return printout


def _was_interrupted() -> bool:
    """Tell whether Ctrl+C ends this program, or the block that the caller is in."""
    # `sys.last_value` is the exception that has ended a script, while its exit handlers run.
    return any(
        isinstance(error, KeyboardInterrupt)
        for error in (sys.exc_info()[1], getattr(sys, "last_value", None))
    )
