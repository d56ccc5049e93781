"""The worker's end of cancelling: stops calls that clients have cancelled.

    remote control ──► main process: CancelledCalls ──► CancelFlags, then a signal
                                               │           └─► child: BatchInterruption
                                               │                 └─► the call ends, or does not begin
                                               └─ if it runs a second later: SIGKILL
                                                      └─► BatchRequest.on_failure answers "cancelled"

The main process remembers a command for a while: the message may still be on its way to this worker,
or from its main process to a child. The child looks at the flags before it begins a call.
"""

import contextlib
import os
import time
from itertools import islice
from signal import SIGKILL
from typing import Any

from billiard.process import current_process
from celery.worker import state

from distribute_challenge.execution.interruption import GRACE, LOOK, WHOLE, Interruption
from distribute_challenge.execution_backends.celery.broker.commands import Calls, CancelCommand
from distribute_challenge.execution_backends.celery.broker.keys import client_of
from distribute_challenge.execution_backends.celery.worker.cancel_flags import CancelFlags, mark
from distribute_challenge.log import logger

__all__ = ["BatchInterruption", "CancelledCalls", "cancelled_calls", "interruption"]

REMEMBERED = 60.0  # Seconds for which a command applies to messages that come after it.


class CancelledCalls:
    """The calls that are to stop, as a worker's main process knows them.

    The control command ``cancel`` and `BatchRequest` call it.

    Args:
        flags: Show the calls to the children.

    Guarantees: a child is killed only if, a second after the command, it still holds that message,
    and either all calls of the message are to stop, or the child says that it runs one of those
    that are.
    """

    def __init__(self, flags: CancelFlags) -> None:
        self._flags = flags
        self._batches: dict[str, tuple[frozenset[int] | None, float]] = {}
        self._clients: dict[str, float] = {}
        self._consumer: Any = None

    def take(self, command: CancelCommand, consumer: Any) -> None:
        """Stop the calls that a command names; the same command again makes no difference.

        Args:
            command: The calls to stop.
            consumer: Celery's consumer, for its pool and its timer.
        """
        self._consumer = consumer
        before = {request.id: self._calls_of(request.id) for request in state.requests.values()}
        self._note(command, time.monotonic())
        for request in list(state.requests.values()):
            if (
                request.worker_pid is not None
                and (calls := self._calls_of(request.id)) != frozenset()
            ):
                self._stop(request, is_new=calls != before[request.id])

    def accepted(self, request: Any) -> None:
        """Stop the cancelled calls of a message that a child has begun.

        The child may have looked at the flags just before the command came.
        """
        if (self._batches or self._clients) and self.is_concerned(request.id):
            self._stop(request, is_new=True)

    def is_concerned(self, batch: str) -> bool:
        """Tell whether calls of a message are to stop."""
        return self._calls_of(batch) != frozenset()

    def is_abandoned(self, batch: str) -> bool:
        """Tell whether a message's client has left, so that it reads no reply any more."""
        return client_of(batch) in self._clients

    def _note(self, command: CancelCommand, now: float) -> None:
        self._batches = {batch: known for batch, known in self._batches.items() if known[1] > now}
        self._clients = {client: until for client, until in self._clients.items() if until > now}
        for batch, calls in command.batches.items():
            known, _ = self._batches.pop(batch, (frozenset[int](), 0.0))
            both = None if known is None or calls is None else known.union(calls)
            self._batches[batch] = both, now + REMEMBERED
        if command.client:
            self._clients.pop(command.client, None)
            self._clients[command.client] = now + REMEMBERED
        while not self._flags.write(self._content()):
            self._forget_oldest()

    def _content(self) -> dict[str, Any]:
        batches = {
            batch: None if calls is None else sorted(calls)
            for batch, (calls, _) in self._batches.items()
        }
        return {"batches": batches, "clients": list(self._clients)}

    def _forget_oldest(self) -> None:
        """Make room in the flags, by dropping the oldest quarter of the batches, or the clients.

        If it dropped them one by one, the main process would do nothing else for seconds.
        """
        known: dict[str, Any] = self._batches or self._clients
        for name in list(islice(known, len(known) // 4 + 1)):
            del known[name]

    def _calls_of(self, batch: str) -> frozenset[int] | None:
        """Return the numbers of a message's calls that are to stop; None: all."""
        if self.is_abandoned(batch):
            return None
        return self._batches.get(batch, (frozenset[int](), 0.0))[0]

    def _stop(self, request: Any, *, is_new: bool) -> None:
        pid = request.worker_pid
        if pid == os.getpid():
            return  # The pool has no child processes.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, LOOK)
        if is_new:
            self._consumer.timer.call_after(GRACE, self._end, (request,))

    def _end(self, request: Any) -> None:
        """Kill the child if it still runs a call that is to stop."""
        if state.requests.get(request.id) is not request:
            return
        calls = self._calls_of(request.id)
        message, number = self._flags.running(request.worker_pid) or (None, WHOLE)
        if calls is None or (message == mark(request.id) and number in calls):
            logger.warning(
                "%s was cancelled and does not stop: its process is killed", request.name
            )
            self._consumer.pool.terminate_job(request.worker_pid, SIGKILL)


class BatchInterruption(Interruption):
    """Tells a child process which of its calls are to stop; `execute` uses it.

    Args:
        flags: The flags that the main process writes.

    Attributes:
        is_abandoned: Whether the message's client has left, so that it reads no reply any more.
    """

    def __init__(self, flags: CancelFlags) -> None:
        self._place = flags.place(getattr(current_process(), "index", 0))
        super().__init__(self._look_up, self._place.tell)
        self._flags = flags
        self._batch = ""
        self._edition = 0
        self._known: tuple[int, Any] = (0, None)  # What the flags said when last read.
        self._unwanted: frozenset[int] | None = frozenset()
        self.is_abandoned = False

    def begin(self, batch: str) -> None:
        """Begin with another message.

        Args:
            batch: The message's id.
        """
        self._batch, self._edition = batch, 0
        self._place.begin(batch)
        self._unwanted, self.is_abandoned = frozenset(), False

    def _look_up(self, number: int) -> bool:
        if self._edition != self._flags.edition:
            if self._known[0] != self._flags.edition:
                self._known = self._flags.read()
            edition, content = self._known
            calls: Calls = content["batches"].get(self._batch, ())
            self.is_abandoned = client_of(self._batch) in content["clients"]
            is_whole = calls is None or self.is_abandoned
            # The edition is set last: a signal that comes in between calls this method, too.
            self._unwanted = None if is_whole else frozenset(calls or ())
            self._edition = edition
        return self._unwanted is None or number in self._unwanted


# Made before the children are forked, so that they inherit its memory.
_flags = CancelFlags()

#: The cancelled calls of this worker's main process.
cancelled_calls = CancelledCalls(_flags)


def interruption() -> BatchInterruption:
    """Make the interruption of the child process that calls this."""
    return BatchInterruption(_flags)
