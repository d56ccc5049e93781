"""The worker's end: runs calls in processes that a worker of Dask or Ray starts beside itself.

Guarantees:

- A call that was withdrawn here does not begin. One that has begun is not withdrawn.
- The processes end with the worker, however that ends.
"""

import atexit
import threading
from collections.abc import Sequence
from typing import NamedTuple

from distribute_challenge.core.messages import FunctionPayload
from distribute_challenge.execution.interruption import GRACE
from distribute_challenge.execution.surroundings import Surroundings
from distribute_challenge.execution_backends.pools.process import ProcessEndedError, WorkerProcess
from distribute_challenge.execution_backends.tried_call import ProcessEnd

__all__ = ["Answer", "Message", "WorkerCalls", "calls"]

KEPT_FUNCTIONS = 128  # As many as each of the processes keeps (`function_cache`).
# Ids of calls that were withdrawn here, and of those that have begun. A guess: after a second, no
# engine asks for them.
KEPT_IDS = 10_000


class Message(NamedTuple):
    """What an engine sends a worker: a call, or a chunk of a map.

    Args:
        id: Names it for `WorkerCalls.withdraw`, `stop` and `is_running`.
        digest: The digest of the function.
        payload: The function; None if the engine believes that the worker has it.
        frame: The calls.
        limit: Seconds after which their process is killed; None: never.
    """

    id: str
    digest: str
    payload: bytes | None
    frame: bytes
    limit: float | None


class Answer(NamedTuple):
    """What a worker answers for a call.

    Args:
        frames: Reply frames; none if there is no outcome.
        end: How the process of the call ended, if it did.
        needs_function: Whether the worker does not have the function yet, which the engine then
            sends along.
    """

    frames: Sequence[bytes] = ()
    end: ProcessEnd | None = None
    needs_function: bool = False


class _Running:
    """A call that has begun here."""

    process: WorkerProcess | None = None
    is_stopped = False


class WorkerCalls:
    """The calls of one worker of Dask or Ray, and their processes; a worker has one.

    Args:
        kind: Name of the engine, for the names of the processes.

    Guarantees: ``_lock`` orders the beginning and the end of a call, `withdraw` and `stop`: no
    process is interrupted or killed for a call that it does not run any more.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._lock = threading.Lock()
        self._running: dict[str, _Running] = {}
        self._begun: dict[str, None] = {}
        self._withdrawn: dict[str, None] = {}
        self._functions: dict[str, bytes] = {}
        self._idle: list[WorkerProcess] = []

    def run(self, message: Message) -> Answer:
        """Run the calls of a message in a process, and wait for them."""
        function = self._function(message.digest, message.payload)
        if function is None:
            return Answer(needs_function=True)
        running = _Running()
        with self._lock:
            if message.id in self._withdrawn:
                return Answer()
            self._running[message.id] = running
            _remember(self._begun, message.id)
        try:
            process = self._process()
            with self._lock:
                process.begin()
                running.process = process
                if running.is_stopped:
                    process.interrupt()
            try:
                frames = process.run(function, message.frame, message.limit)
            finally:
                with self._lock:
                    running.process = None
        except ProcessEndedError as error:
            process.close()
            return Answer(end=error.end)
        finally:
            with self._lock:
                del self._running[message.id]
        if process.is_spoilt:
            process.close()
        else:
            with self._lock:
                self._idle.append(process)
        return Answer(frames)

    def withdraw(self, message: str) -> bool:
        """Keep a call from beginning here; False if it has begun."""
        with self._lock:
            if message in self._begun:
                return False
            _remember(self._withdrawn, message)
            return True

    def admit(self, message: str) -> None:
        """Let a call begin that was withdrawn here, as it has begun elsewhere."""
        with self._lock:
            self._withdrawn.pop(message, None)

    def is_running(self, message: str) -> bool:
        """Whether a call has begun here, and has not ended."""
        with self._lock:
            return message in self._running

    def stop(self, message: str) -> None:
        """Keep a call from beginning here.

        If it runs, it is interrupted, and its process killed if that does not help.
        """
        with self._lock:
            running = self._running.get(message)
            if running is None:
                _remember(self._withdrawn, message)
                return
            running.is_stopped = True
            if running.process is not None:
                running.process.interrupt()
        timer = threading.Timer(GRACE, self._kill, (running,))
        timer.daemon = True
        timer.start()

    def end_idle(self) -> None:
        """End the processes that have no call, and wait until they have ended."""
        with self._lock:
            idle, self._idle = self._idle, []
        for process in idle:
            process.close()

    def _kill(self, running: _Running) -> None:
        with self._lock:
            if running.process is not None:
                running.process.kill()

    def _function(self, digest: str, payload: bytes | None) -> FunctionPayload | None:
        with self._lock:
            known = self._functions.pop(digest, None)
            payload = payload or known
            if payload is None:
                return None
            self._functions[digest] = payload
            if len(self._functions) > KEPT_FUNCTIONS:
                del self._functions[next(iter(self._functions))]
        return FunctionPayload(digest, payload, "")

    def _process(self) -> WorkerProcess:
        """Return an idle process, or a new one."""
        while True:
            with self._lock:
                process = self._idle.pop() if self._idle else None
            if process is None:
                return WorkerProcess(Surroundings.of_this_process(), self._kind)
            if not process.has_ended():
                return process
            process.close()


def _remember(ids: dict[str, None], message: str) -> None:
    ids[message] = None
    if len(ids) > KEPT_IDS:
        del ids[next(iter(ids))]


_calls: dict[str, WorkerCalls] = {}


def calls(kind: str) -> WorkerCalls:
    """Return the calls of this worker.

    Args:
        kind: Name of the engine.
    """
    found = _calls.get(kind)
    if found is None:
        found = _calls.setdefault(kind, WorkerCalls(kind))
    return found


def _end() -> None:
    for found in _calls.values():
        found.end_idle()


atexit.register(_end)
