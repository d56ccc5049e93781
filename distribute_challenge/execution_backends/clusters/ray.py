"""The engine ``"ray"``: each call, or chunk of a map, is a task of Ray.

Ray itself does not say whether a task has begun. So an actor keeps a ledger: a task asks it whether
it may begin, and this engine asks it to withdraw a call.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, NamedTuple

from distribute_challenge.errors import (
    BackendError,
    DistributeChallengeError,
    SystemFailureError,
)
from distribute_challenge.execution_backends.clusters.base import ClusterBackend, ClusterCall
from distribute_challenge.execution_backends.clusters.packages import needed
from distribute_challenge.execution_backends.clusters.worker_calls import Answer, Message, calls
from distribute_challenge.execution_backends.policy import IN_THE_FRAME
from distribute_challenge.execution_backends.tried_call import ProcessEnd
from distribute_challenge.settings import masked

__all__ = ["RayExecutionBackend"]

ANSWER_WITHIN = 5.0  # Seconds for the ledger to answer; a guess: it does in a millisecond.
LOOK_EVERY = 0.05  # Seconds until a task notices that Ray cancels it.


class Ledger:
    """Knows which messages have begun, and which were withdrawn; it is an actor of Ray.

    Guarantees: a message that was withdrawn does not begin, and one that has begun is not
    withdrawn.
    """

    def __init__(self) -> None:
        self._begun: set[str] = set()
        self._withdrawn: set[str] = set()

    def begin(self, message: str) -> bool:
        """Whether a message may begin."""
        if message in self._withdrawn:
            return False
        self._begun.add(message)
        return True

    def withdraw(self, message: str) -> bool:
        """Keep a message from beginning; False if it has begun."""
        if message in self._begun:
            return False
        self._withdrawn.add(message)
        return True

    def has_begun(self, message: str) -> bool:
        """Whether a message has begun."""
        return message in self._begun

    def forget(self, message: str) -> None:
        """Drop a message that is over."""
        self._begun.discard(message)
        self._withdrawn.discard(message)


class _Connection(NamedTuple):
    """The ledger and the function of one connection to Ray."""

    job: str
    ledger: Any
    run: Any


class RayExecutionBackend(ClusterBackend):
    """Runs calls on Ray.

    It uses the Ray that the process is connected to. If there is none, it calls ``ray.init``.
    Each node needs this library. A call takes one CPU, and runs in a process that Ray's worker
    starts beside itself.

    Args:
        address: An address for ``ray.init``, such as ``"ray://host:10001"``. None: as ``ray.init``
            chooses.

    Raises:
        BackendError: Ray is not installed.

    Examples:
        >>> from distribute_challenge import compute_this
        >>> with RayExecutionBackend() as backend:  # doctest: +SKIP
        ...     compute_this(lambda x: x * x)(3).compute(backend=backend)
        9
    """

    system = "Ray"
    honours = IN_THE_FRAME | {"at_most_once"}

    def __init__(self, address: str | None = None) -> None:
        super().__init__()
        self._ray = needed("ray", "ray")
        self._address = address
        self._connection: _Connection | None = None
        self._has_initialised = False

    def facts(self) -> str:
        return "" if self._address is None else masked(self._address)

    def _connected(self) -> _Connection:
        """Return the connection, made if there is none.

        Raises:
            BackendError: An address was given, and the process is connected already.
            SystemFailureError: Ray does not answer.
        """
        ray = self._ray
        with self._lock:
            if not ray.is_initialized():
                self._initialise()
            elif self._address is not None and not self._has_initialised:
                raise BackendError(
                    f"this process is connected to Ray already, and can have one connection: use "
                    f"backend='ray' in place of {self._address!r}, or call ray.shutdown() first"
                )
            job = ray.get_runtime_context().get_job_id()
            if self._connection is None or self._connection.job != job:
                # A question is asked again if the actor does not answer for a moment, as on a busy
                # machine: to ask twice changes nothing.
                ledger = ray.remote(num_cpus=0, max_task_retries=5)(Ledger).remote()
                # Whether a call is begun once more is decided by `policy`.
                self._connection = _Connection(job, ledger, ray.remote(max_retries=0)(run))
            return self._connection

    def _initialise(self) -> None:
        where = {} if self._address is None else {"address": self._address}
        try:
            self._ray.init(**where)
        except (OSError, RuntimeError, ValueError) as error:
            raise SystemFailureError(
                f"Ray does not answer at {self._address or 'the address that ray.init chooses'}: "
                f"start it with `ray start --head`, or give the address that it shows ({error})"
            ) from error
        self._has_initialised = True

    def _count_slots(self) -> int:
        self._connected()
        return int(self._ray.cluster_resources().get("CPU", 0))

    def _start(self, call: ClusterCall, message: Message) -> None:
        connection = self._connected()
        reference = connection.run.options(name=call.name).remote(connection.ledger, message)
        call.handle = connection, reference
        reference.future().add_done_callback(partial(self._end, message.id))

    def _end(self, message: str, task: "Future[Answer]") -> None:
        self._answered(message, task.exception() or task.result())

    def _failure(self, call: ClusterCall, error: BaseException) -> Answer | BaseException:
        exceptions = self._ray.exceptions
        cause = getattr(error, "cause", None)
        if isinstance(cause, DistributeChallengeError):
            return cause
        if isinstance(error, exceptions.OutOfMemoryError):
            facts = {"out_of_memory": True}
            return Answer(end=ProcessEnd("", "Ray has killed its worker", facts, True, False))
        if isinstance(
            error,
            exceptions.WorkerCrashedError | exceptions.NodeDiedError | exceptions.ObjectLostError,
        ):
            return Answer(end=ProcessEnd("", f"its worker of Ray died: {error}", {}, True, False))
        failure = SystemFailureError(
            f"{call.name}: Ray cannot run it: {type(error).__name__}: {error}. See whether its "
            f"nodes have this version of distribute_challenge installed"
        )
        failure.__cause__ = error
        return failure

    def _end_of_connection(self, call: ClusterCall) -> BaseException | None:
        if call.handle is None or self._connection_of(call) is not None:
            return None
        return SystemFailureError(
            f"{call.name}: the connection to Ray that it was submitted on has ended: wait for the "
            f"results of calls before ray.shutdown()"
        )

    def _connection_of(self, call: ClusterCall) -> _Connection | None:
        """Return the connection that a message is out on; None if there is none, or it has ended.

        To use what belongs to one that has ended would start a Ray on this machine.
        """
        connection, _ = call.handle or (None, None)
        if connection is None or not self._ray.is_initialized():
            return None
        job = self._ray.get_runtime_context().get_job_id()
        return connection if connection.job == job else None

    def _forget(self, call: ClusterCall, message: str) -> None:
        if (connection := self._connection_of(call)) is not None:
            connection.ledger.forget.remote(message)

    def _withdraw(self, call: ClusterCall) -> bool:
        return self._asked(call, "withdraw")

    def _is_running(self, call: ClusterCall) -> bool:
        return self._asked(call, "has_begun")

    def _asked(self, call: ClusterCall, question: str) -> bool:
        """Return the ledger's answer to a question about a call; False if there is none."""
        connection = self._connection_of(call)
        if connection is None:
            return False
        ask = getattr(connection.ledger, question)
        try:
            return bool(self._ray.get(ask.remote(call.message), timeout=ANSWER_WITHIN))
        except self._ray.exceptions.RayError:
            return False

    def _stop(self, calls: Sequence[ClusterCall]) -> None:
        for call in calls:
            handle = call.handle
            if self._connection_of(call) is not None:
                self._ray.cancel(handle[1])

    def _disconnect(self, calls: Sequence[ClusterCall]) -> None:
        self._stop(calls)
        # Ray ends the ledger when the last task that uses it is over. If it were killed before, Ray
        # would print that such a task failed.
        for call in calls:
            call.handle = None
        self._connection = None
        if self._has_initialised and self._ray.is_initialized():
            self._ray.shutdown()


def run(ledger: Any, message: Message) -> Answer:
    """Run the calls of a message, as a task of Ray."""
    import ray  # Only nodes of Ray call this function.

    if not ray.get(ledger.begin.remote(message.id)):
        return Answer()
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(calls("ray").run, message)
        while True:
            try:
                while not wait([running], LOOK_EVERY).done:
                    pass  # To cancel a task, Ray raises this exception, but wakes no thread for it.
                return running.result()
            except KeyboardInterrupt:
                calls("ray").stop(message.id)
