"""The client's end that Dask and Ray share: calls that are out, and what becomes of their answers.

    submit ──► `ClusterBackend._start` ──► a task of Dask or Ray
                                              │ its answer, in a thread of theirs
    the call's future ◄── the settling thread ◄┘

An answer is settled in a thread of this engine, because that unpickles values, which may run any
code.
"""

import os
import threading
from abc import abstractmethod
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Any

from distribute_challenge import settings
from distribute_challenge.core import clock
from distribute_challenge.core.batching import GIVE_BACK_AFTER
from distribute_challenge.core.compact import compact
from distribute_challenge.core.forks import generation
from distribute_challenge.core.futures import Future
from distribute_challenge.core.lazy_future import OFTEN_SET
from distribute_challenge.core.messages import Task
from distribute_challenge.errors import BackendError
from distribute_challenge.execution_backends import policy
from distribute_challenge.execution_backends.base import ExecutionBackend, closed
from distribute_challenge.execution_backends.clusters.worker_calls import Answer, Message
from distribute_challenge.execution_backends.frames import task_frame
from distribute_challenge.execution_backends.tried_call import TriedCall

__all__ = ["ClusterBackend", "ClusterCall"]

# Seconds for which a cluster is believed to have as many slots as it had, and a connection to last.
LOOK_AGAIN_AFTER = 1.0
MOST_KNOWN = 10_000  # Functions that are believed to be on workers; a guess.


@compact(*OFTEN_SET, "task", "attempts", "_backend", "message", "handle", "sent")
class ClusterCall(TriedCall):
    """The future of a call on a cluster; `ClusterBackend.submit` makes it.

    Args:
        task: The call.
        backend: Its engine.

    Attributes:
        message: Id of the message that is out for it; each attempt has another one.
        handle: What Dask or Ray has returned for that message; None if none is out.
        sent: When it was sent, in seconds since the epoch.
    """

    message = ""
    handle: Any = None
    sent = 0.0

    def __init__(self, task: Task, backend: "ClusterBackend") -> None:
        super().__init__(task.function.name)
        self.task = task
        self.attempts = task.attempts
        self._backend = backend

    def cancel(self, force: bool = False) -> bool:
        if self.done():
            return self.cancelled()
        if (force or self._backend._withdraw(self)) and self._cancel():
            self._backend._stop([self])
        return self.cancelled()

    def running(self) -> bool:
        return not self.done() and self._backend._is_running(self)

    def stage(self) -> str:
        return "pending"  # To ask the cluster takes a while.


class ClusterBackend(ExecutionBackend):
    """An engine that hands each call to a cluster of another system; its subclasses know which.

    Guarantees:

    - ``_lock`` protects ``_out``, which has each call that is not done, by its message.
    - No user code runs while ``_lock`` is held.
    """

    #: Name of the system, for errors.
    system: str

    def __init__(self) -> None:
        self._attempts = settings.attempts()
        self._lock = threading.RLock()
        self._out: dict[str, ClusterCall] = {}
        self._known: set[str] = set()
        self._answers: SimpleQueue[tuple[str, Answer | BaseException] | None] = SimpleQueue()
        self._settler: threading.Thread | None = None
        self._is_closed = False
        self._generation = generation[0]
        self._slots = 0
        self._looked = -LOOK_AGAIN_AFTER

    @property
    def concurrency(self) -> int:  # type: ignore[override] # the cluster may grow and shrink
        now = clock.monotonic()
        if now - self._looked >= LOOK_AGAIN_AFTER:
            self._slots, self._looked = self._count_slots(), now
        # A cluster without workers may start some when it has tasks.
        return max(self._slots, 1)

    def submit(self, task: Task) -> Future[Any]:
        if self._generation != generation[0]:
            raise BackendError(
                f"this backend was made by the process that this one was forked from, and its "
                f"connection to {self.system} works only there: make another one in this process"
            )
        call = ClusterCall(task, self)
        try:
            self._send(call)
        except KeyboardInterrupt:
            call.cancel(force=True)  # It may be out, and the caller does not get the future.
            raise
        return call

    def unfinished(self) -> int:
        with self._lock:
            return sum(not call.task.chunk and not call.done() for call in self._out.values())

    def close(self) -> None:
        if self._generation != generation[0]:
            return  # The connection is the parent's.
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            calls = list(self._out.values())
            self._out.clear()
        open_calls = [call for call in calls if Future.cancel(call)]
        self._answers.put(None)
        self._disconnect(open_calls)

    # --- what an engine does

    @abstractmethod
    def _count_slots(self) -> int:
        """Return how many calls can run at the same time; 0 if there are no workers."""

    @abstractmethod
    def _start(self, call: ClusterCall, message: Message) -> None:
        """Hand a message to the cluster, and set the call's ``handle``.

        When the cluster has answered, this engine calls `_answered`, in any thread.

        Raises:
            SystemFailureError: The cluster cannot be reached.
        """

    @abstractmethod
    def _failure(self, call: ClusterCall, error: BaseException) -> Answer | BaseException:
        """Return what an error that came in place of an answer means for a call."""

    @abstractmethod
    def _withdraw(self, call: ClusterCall) -> bool:
        """Keep a call from beginning; False if it has begun, or may have."""

    @abstractmethod
    def _stop(self, calls: Sequence[ClusterCall]) -> None:
        """Stop calls that are cancelled already, whether they have begun or not."""

    @abstractmethod
    def _is_running(self, call: ClusterCall) -> bool:
        """Whether a worker has begun a call."""

    def _end_of_connection(self, call: ClusterCall) -> BaseException | None:
        """Return the error of a call that gets no answer, as its connection is gone; else None."""
        return None

    def _forget(self, call: ClusterCall, message: str) -> None:
        """Free what the cluster keeps for a message that was answered."""

    @abstractmethod
    def _disconnect(self, calls: Sequence[ClusterCall]) -> None:
        """Stop calls, and free the resources of the engine."""

    # --- calls and their answers

    def _answered(self, message: str, answer: Answer | BaseException) -> None:
        """Take the answer to a message, or the error that came in its place."""
        self._answers.put((message, answer))

    def _send(self, call: ClusterCall) -> None:
        """Hand a call to the cluster, for the first time or once more.

        Raises:
            CallCancelledError: The engine is closed.
            SystemFailureError: The cluster cannot be reached.
        """
        task, options = call.task, call.task.options
        digest, payload, _, _ = task.function
        message = Message(
            os.urandom(16).hex(),
            digest,
            None if digest in self._known else payload,
            task_frame(task),
            # A process begins no more calls of a chunk after `GIVE_BACK_AFTER` seconds.
            policy.hard_limit(options.timeout, options.retries, before=GIVE_BACK_AFTER),
        )
        with self._lock:
            if self._is_closed:
                raise closed()
            self._out[message.id] = call
            if self._settler is None:
                name = f"distribute_challenge {self.system}"
                self._settler = threading.Thread(target=self._settle_all, name=name, daemon=True)
                self._settler.start()
        call.message, call.sent = message.id, clock.now()
        try:
            self._start(call, message)
        except BaseException:
            with self._lock:
                self._out.pop(message.id, None)
            raise

    def _settle_all(self) -> None:
        # Each answer has a method of its own: a frame that waits for the next one would keep the
        # last call alive.
        while self._settle_next():
            pass

    def _settle_next(self) -> bool:
        try:
            answered = self._answers.get(timeout=LOOK_AGAIN_AFTER)
        except Empty:
            self._look_after_connections()
            return True
        if answered is None:
            return False
        message, answer = answered
        with self._lock:
            call = self._out.pop(message, None)
        if call is not None:
            try:
                self._forget(call, message)
                call.handle = None
                self._settle(call, answer)
            except BaseException as error:
                call.fail(error)
            if call.done():
                call.drop_arguments()
        return True

    def _look_after_connections(self) -> None:
        """Fail the calls that get no answer."""
        with self._lock:
            calls = list(self._out.items())
        for message, call in calls:
            if (error := self._end_of_connection(call)) is not None:
                with self._lock:
                    self._out.pop(message, None)
                call.fail(error)
                call.drop_arguments()

    def _settle(self, call: ClusterCall, answer: Answer | BaseException) -> None:
        if isinstance(answer, BaseException):
            answer = self._failure(call, answer)
        if isinstance(answer, BaseException):
            call.fail(answer)
            return
        digest = call.task.function.digest
        if answer.needs_function:
            self._known.discard(digest)
            is_open = not call.done()
        elif answer.end is not None:
            is_open = call.take_end(call.sent, answer.end, allowed=self._attempts)
        else:
            if len(self._known) > MOST_KNOWN:
                self._known.clear()
            self._known.add(digest)
            is_open = call.take(call.sent, answer.frames, allowed=self._attempts)
        if is_open:
            self._send(call)
            if call.done():  # It was cancelled in between.
                self._stop([call])
