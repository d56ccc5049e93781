"""What a worker does, for its reports to a dashboard; its main process records it while watched.

    BatchRequest ──► Activity ──► PresenceStep, once a second ──► the stream of reports

The main process knows all of it: which child process has which message since when, how that ended,
and how much memory the children hold. The children do nothing for it.
"""

from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from celery.worker import state

from distribute_challenge.core import clock
from distribute_challenge.execution_backends.celery.broker.reports import (
    FailureReport,
    MessageReport,
    ProcessReport,
    WorkerReport,
)
from distribute_challenge.execution_backends.celery.worker.memory import (
    Limits,
    machine_memory,
    resident,
)

__all__ = ["Activity", "activity"]

MOST_ENDED: Final = (
    500  # Messages in one report; a worker with 64 processes ends fewer in a second.
)
MOST_FAILURES: Final = 5  # Failures in one report: people read the first ones.
LONGEST_ERROR: Final = 1_000  # Characters.
LONGEST_TRACEBACK: Final = 8_000  # Characters.


class Activity:
    """Records what one worker does, while it is watched.

    Guarantees: while a worker ends, a second thread of Celery may call `ended` and `failed`; they
    only append to deques.

    Args:
        limits: The memory limits of this process and its children; None: those of the machine.

    Attributes:
        is_watched: Whether a dashboard watches. If not, no other method is to be called.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.is_watched = False
        self._limits = limits
        self._forget()

    def _forget(self) -> None:
        self._ended: deque[tuple[str, int, float, float, Any]] = deque(maxlen=MOST_ENDED)
        self._failures: deque[tuple[str, int, float, str, str]] = deque()
        self._count = 0

    def watch(self, is_watched: bool) -> None:
        """Begin to record, or stop and forget.

        Args:
            is_watched: Whether a dashboard watches.
        """
        if is_watched != self.is_watched:
            self._forget()
            self.is_watched = is_watched

    def ended(self, request: Any) -> None:
        """Record that a message has ended.

        Args:
            request: Its `BatchRequest`; one that no child has begun is left out.
        """
        if request.began is not None:
            now = clock.monotonic()
            self._count += 1
            self._ended.append(
                (request.name, request.worker_pid or 0, request.began, now, request.end)
            )

    def failed(self, request: Any, error: str, traceback: object) -> None:
        """Record why a message failed.

        Args:
            request: Its `BatchRequest`.
            error: The error.
            traceback: Its traceback as text, or what else is known; any other object stands for
                nothing.
        """
        if len(self._failures) < MOST_FAILURES:
            text = traceback if isinstance(traceback, str) else ""
            self._failures.append(
                (
                    request.name,
                    request.worker_pid or 0,
                    clock.monotonic(),
                    _encodable(error[:LONGEST_ERROR]),
                    _encodable(text[-LONGEST_TRACEBACK:]),
                )
            )

    def report(self, name: str, now: float, pids: Iterable[int]) -> WorkerReport:
        """Return what has happened since the last report.

        Args:
            name: Name of the worker.
            now: The time by Redis' clock.
            pids: Ids of its child processes.
        """
        if self._limits is None:
            self._limits = Limits()
        offset = now - clock.monotonic()  # Times travel by Redis' clock.
        running = {
            request.worker_pid: (request.name, request.began + offset)
            for request in list(state.active_requests)
            if getattr(request, "began", None) is not None
        }
        ended, failures, count = self._ended, self._failures, self._count
        self._forget()
        return WorkerReport(
            name=name,
            seen=now,
            memory_limit=self._limits.bytes() or machine_memory(),
            processes=[
                ProcessReport(pid, resident(pid) or 0, *running.get(pid, ("", 0.0))) for pid in pids
            ],
            ended=[
                MessageReport(message, pid, began + offset, end - began, how)
                for message, pid, began, end, how in ended
            ],
            left_out=count - len(ended),
            failures=[
                FailureReport(message, pid, at + offset, error, traceback)
                for message, pid, at, error, traceback in failures
            ],
        )


def _encodable(text: str) -> str:
    """Replace halves of surrogate pairs, which no reader would accept."""
    return text.encode("utf-8", "backslashreplace").decode()


#: The activity of this process, if it is a worker's main process.
activity = Activity()
