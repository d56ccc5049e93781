"""The engine ``"dask"``: each call, or chunk of a map, is a task of a Dask cluster.

Dask itself does not say whether a task has begun. So the engine asks the workers, when a call is to
be withdrawn or stopped.
"""

import re
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from distribute_challenge.core import clock
from distribute_challenge.errors import (
    Attempt,
    BackendError,
    DistributeChallengeError,
    SystemFailureError,
    TaskLostError,
    WorkerLostError,
)
from distribute_challenge.execution_backends.clusters.base import ClusterBackend, ClusterCall
from distribute_challenge.execution_backends.clusters.packages import needed
from distribute_challenge.execution_backends.clusters.worker_calls import Answer, Message, calls
from distribute_challenge.execution_backends.loss_report import worker_lost
from distribute_challenge.execution_backends.policy import IN_THE_FRAME
from distribute_challenge.settings import masked

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["DaskExecutionBackend"]

ANSWER_WITHIN = 5.0  # Seconds for all workers to answer; a guess: they do in milliseconds.
CLOSE_WITHIN = 1.0  # The same when the engine is closed.


class DaskExecutionBackend(ClusterBackend):
    """Runs calls on a Dask cluster.

    Each worker of the cluster needs this library. It runs calls in processes that it starts beside
    itself, as many as it has threads.

    Args:
        cluster: A `distributed.Client`, or the address of a scheduler, such as
            ``"tcp://host:8786"``. None: the client that is current in the process, at each call.

    Raises:
        BackendError: `distributed` is not installed.

    Examples:
        >>> from distributed import Client
        >>> from distribute_challenge import compute_this
        >>> with Client(n_workers=1, processes=False, dashboard_address=":0"):
        ...     compute_this(lambda x: x * x)(3).compute(backend="dask")
        9
    """

    system = "Dask"
    honours = IN_THE_FRAME | {"priority"}

    def __init__(self, cluster: "Client | str | None" = None) -> None:
        super().__init__()
        self._distributed = needed("distributed", "dask")
        self._address = cluster if isinstance(cluster, str) else None
        self._given = None if isinstance(cluster, str) else cluster
        self._own: Client | None = None

    def facts(self) -> str:
        # Not the client's own repr, which may wait for the scheduler.
        return masked(self._address) if self._address is not None else ""

    def _client(self) -> "Client":
        """Return the client in use.

        Raises:
            BackendError: There is none, or it works only in coroutines.
            SystemFailureError: It is closed, or the scheduler does not answer.
        """
        if self._address is not None:
            with self._lock:
                if self._own is None or self._own.status == "closed":
                    self._own = self._connect(self._address)
                return self._own
        client = self._given
        if client is None:
            try:
                client = self._distributed.get_client()
            except ValueError:
                raise BackendError(
                    "there is no Dask client in this process: make one, as in "
                    "distributed.Client('tcp://host:8786'), or name the scheduler, as in "
                    "backend='tcp://host:8786'"
                ) from None
        if client.status in ("closing", "closed"):
            raise SystemFailureError(f"{client} is closed: make another one")
        if client.asynchronous:
            raise BackendError(
                f"{client} works only in coroutines, expected one that was made without "
                f"asynchronous=True"
            )
        return client

    def _connect(self, address: str) -> "Client":
        try:
            return self._distributed.Client(address, set_as_default=False)
        except OSError as error:
            raise SystemFailureError(
                f"no Dask scheduler answers at {address}: start one with `dask scheduler`, or give "
                f"the address that it shows ({error})"
            ) from error

    def _count_slots(self) -> int:
        try:
            return sum(self._client().nthreads().values())
        except OSError as error:
            raise SystemFailureError(f"Dask's scheduler does not answer: {error}") from error

    def _start(self, call: ClusterCall, message: Message) -> None:
        client = self._client()
        future = client.submit(
            run,
            message,
            key=_key(call, message),
            priority=call.task.options.priority,
            fifo_timeout="0s",
            pure=False,
        )
        call.handle = client, future
        client.loop.add_callback(self._collect, client, future, message.id)

    async def _collect(self, client: "Client", future: "Future", message: str) -> None:
        """Wait for the answer; it runs in the event loop of the client."""
        try:
            answer = await client.gather(future, asynchronous=True)
        except BaseException as error:
            answer = error
        self._answered(message, answer)

    def _failure(self, call: ClusterCall, error: BaseException) -> BaseException:
        if isinstance(error, DistributeChallengeError):
            return error
        failure: BaseException
        if isinstance(error, self._distributed.KilledWorker):
            failure = _killed(call, error)
        elif isinstance(error, Exception) and not isinstance(error, CancelledError):
            failure = SystemFailureError(
                f"{call.name}: Dask cannot run it: {type(error).__name__}: {error}. See whether "
                f"its workers have this version of distribute_challenge installed"
            )
        else:
            failure = TaskLostError(f"{call.name}: Dask has dropped it: {error}")
        failure.__cause__ = error
        return failure

    def _withdraw(self, call: ClusterCall) -> bool:
        client, _ = call.handle or (None, None)
        if client is None:
            return False
        message = call.message
        if not all(_asked(client, withdraw, message)):
            _tell(client, admit, message)
            return False
        return True

    def _is_running(self, call: ClusterCall) -> bool:
        client, _ = call.handle or (None, None)
        return client is not None and any(_asked(client, is_running, call.message))

    def _stop(self, calls: Sequence[ClusterCall]) -> None:
        for call in calls:
            client, future = call.handle or (None, None)
            if client is not None:
                _tell(client, stop, [call.message])
                client.loop.add_callback(partial(client.cancel, [future], asynchronous=True))

    def _disconnect(self, calls: Sequence[ClusterCall]) -> None:
        own, self._own = self._own, None
        by_client: dict[Any, list[str]] = {}
        for call in calls:
            client, _ = call.handle or (None, None)
            if client is not None:
                by_client.setdefault(client, []).append(call.message)
        for client, messages in by_client.items():
            if client.status == "running":
                with suppress(OSError, TimeoutError):
                    client.run(stop, messages, on_error="ignore", callback_timeout=CLOSE_WITHIN)
        for call in calls:
            client, future = call.handle or (None, None)
            if client is not None and client.status == "running":
                client.loop.add_callback(partial(client.cancel, [future], asynchronous=True))
        if own is not None:
            own.close(timeout=CLOSE_WITHIN)


def _key(call: ClusterCall, message: Message) -> Any:
    """Return the key of a message's task. Dask groups tasks by the name before the last hyphen."""
    name = re.sub(r"\W", "", call.name.rpartition(".")[2]) or "call"
    key = f"{name}-{message.id}"
    # Dask's scheduler holds back what a large group has beyond the workers' threads, and sends the
    # rest in order. Calls with a priority overtake those that workers have, so they go there at
    # once: each in a group of its own, which is the first part of a tuple.
    return (key, 0) if call.task.options.priority else key


def _killed(call: ClusterCall, error: Any) -> WorkerLostError:
    """Return the error of a call that Dask has begun as often as its scheduler allows."""
    task = call.task
    worker = f"dask@{getattr(error.last_worker, 'address', '')}"
    end = Attempt(worker, call.sent, clock.now(), "the worker of Dask died", task.calls)
    return worker_lost(
        task,
        (*call.attempts, end),
        f"That happened {error.allowed_failures + 1} times, and the scheduler allows no more "
        f"(distributed.scheduler.allowed-failures): see whether memory suffices on the workers.",
    )


def _asked(client: "Client", question: Callable[[str], bool], message: str) -> list[bool]:
    """Return the answers of all workers to a question about a message; none is False."""
    try:
        answers = client.run(question, message, on_error="return", callback_timeout=ANSWER_WITHIN)
    except (OSError, TimeoutError):
        return [False]
    return [answer is True for answer in answers.values()]


def _tell(client: "Client", order: Callable[..., None], *arguments: Any) -> None:
    """Have all workers do something, without waiting for them."""
    client.loop.add_callback(
        partial(client.run, order, *arguments, on_error="ignore", asynchronous=True)
    )


# --- what Dask's workers call


def run(message: Message) -> Answer:
    """Run the calls of a message, as a task of Dask."""
    return calls("dask").run(message)


def withdraw(message: str) -> bool:
    """Keep a message from beginning; False if it has begun."""
    return calls("dask").withdraw(message)


def admit(message: str) -> None:
    """Let a message begin that was withdrawn here, as it has begun elsewhere."""
    calls("dask").admit(message)


def is_running(message: str) -> bool:
    """Whether a message has begun and not ended."""
    return calls("dask").is_running(message)


def stop(messages: Sequence[str]) -> None:
    """Stop messages, whether they have begun or not."""
    for message in messages:
        calls("dask").stop(message)
