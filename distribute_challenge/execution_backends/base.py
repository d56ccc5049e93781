"""The interface of all engines: an engine moves calls, and does nothing else.

Everything that users see (checking arguments, options, maps, awaiting) lies above this interface
and is the same for every engine; everything about running user code lies below it, in `execution`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from distribute_challenge.core.futures import Future
from distribute_challenge.core.messages import Task
from distribute_challenge.core.options import CallOptions
from distribute_challenge.core.recording import recorded
from distribute_challenge.core.signature import function_name
from distribute_challenge.errors import BackendError, CallCancelledError
from distribute_challenge.execution_backends.item_queue import QUEUES_NEED_CLUSTER, ItemQueue
from distribute_challenge.execution_backends.policy import IN_THE_FRAME
from distribute_challenge.serialisation import PortableFunction, loads
from distribute_challenge.serialisation.tasks import single_task

if TYPE_CHECKING:
    from distribute_challenge.stores import Depot

__all__ = ["DETACHED_NEEDS_CLUSTER", "ExecutionBackend", "closed"]

DETACHED_NEEDS_CLUSTER = (
    "a detached call goes on when this process is gone, and the backend in use here does not: use "
    "the backend 'celery' with a "
    "cluster of your own, as in CELERY_BROKER_URL=redis://host; on one machine, "
    "`distribute-challenge cluster` starts one. A call "
    "inside a call cannot be detached"
)


class ExecutionBackend(ABC):
    """An engine that runs tasks; the base class of all engines.

    A subclass needs `submit` alone; `concurrency` and `close` where they make sense. All threads of
    a process share one engine, so its methods are called from several threads at once.
    """

    #: How many calls can run at the same time, as far as is known; 0 if `submit` itself runs the
    #: call.
    concurrency: int = 0

    #: The options of `CallOptions` that this engine keeps. A call that sets another option is
    #: refused before anything is sent. By default, these are the options that travel in a task's
    #: frame, which `execution.execute` keeps.
    honours: frozenset[str] = IN_THE_FRAME

    #: Whether its workers see the files of this machine. If not, the files of the project's
    #: packages travel with the tasks.
    shares_files: bool = False

    #: What sends its tasks, if that may send a call together with calls that it needs
    #: (`core.following`). None: each call waits until those that it needs have ended.
    sender: Any = None

    @abstractmethod
    def submit(self, task: Task) -> Future[Any]:
        """Take one task and return at once, or when it has run if ``concurrency`` is 0.

        The future resolves to the call's value or exception; if ``task.chunk`` is set, to a
        `ChunkResult`.

        An error of the task is the future's exception. This method raises only errors of the engine
        itself, which derive from `SystemFailureError`.
        """

    def submit_now(self, task: Task) -> Future[Any]:
        """Like `submit`, for a caller that waits for this call at once with `result`.

        The engine does not hold the task back to send it with others. Other uses of the future
        work, too, but it may then be resolved up to some seconds late.
        """
        return self.submit(task)

    def submit_detached(self, task: Task, time_to_live: float) -> Future[Any]:
        """Take one task that continues when this process is gone.

        Any process can `attach` to it by the future's ``id``.

        Args:
            task: The task; no part of it is in the depot.
            time_to_live: Seconds that its outcome is kept.

        Raises:
            BackendError: This engine's calls end with this process.
        """
        raise BackendError(DETACHED_NEEDS_CLUSTER)

    def attach(self, id: str) -> Future[Any]:  # noqa: A002 - the name that users know
        """Return the future of a call that some process submitted with `submit_detached`.

        Raises:
            BackendError: This engine has no such calls.
        """
        raise BackendError(DETACHED_NEEDS_CLUSTER)

    def open_queue(self, id: str, maxsize: int, lease: float | None, *, own: bool) -> ItemQueue:  # noqa: A002
        """Open a queue of items, which is made if it is not there.

        Args:
            id: The queue's id.
            maxsize: Most items that may wait; 0: no limit, or that of the queue.
            lease: Seconds after which the items of a lost process are delivered again; None: what
                the queue has, or a default.
            own: Whether the queue ends with this engine.

        Raises:
            BackendError: This engine has no queues.
            OptionError: The queue is there, with another limit or lease.
        """
        raise BackendError(QUEUES_NEED_CLUSTER)

    def attach_queue(self, id: str) -> ItemQueue:  # noqa: A002
        """Return a queue that ends with another process, and may have ended.

        Raises:
            BackendError: This engine has no queues.
        """
        raise BackendError(QUEUES_NEED_CLUSTER)

    def depot(self) -> "Depot | None":
        """Return the depot with the large values of the tasks; None: they stay inside the tasks.

        An engine with a depot sends the names of the depot's places along with each batch, and
        releases the values of a task when its call is over.
        """
        return None

    def sized(self, workers: int) -> "ExecutionBackend | None":
        """Return a new engine of this kind with this many workers, for an `Executor`.

        The caller closes it. None: the number of workers is not for this process to choose.
        """
        return None

    def restart(self) -> None:  # noqa: B027 - not abstract: `check_restart` refuses it
        """Cancel all calls, and end the processes that run calls; the next call gets new ones."""

    def check_restart(self) -> None:
        """Raise an error if `restart` is impossible.

        Raises:
            BackendError: This engine has no processes that it could end.
        """
        raise BackendError(
            "this backend cannot be restarted, as it has no worker processes of its own: use the "
            "embedded cluster, or the backend 'processes'"
        )

    def unfinished(self) -> int:
        """Return how many calls were submitted and are not done, so that `close` cancels them.

        Calls of maps are not counted.
        """
        return 0

    def run(self, serialised_func: bytes, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Run a pickled function and wait for its value.

        Args:
            serialised_func: Bytes that `pickle.loads` or `cloudpickle.loads` turns into a callable.
            args: Positional arguments.
            kwargs: Keyword arguments.

        Raises:
            BaseException: The exception that the function raised.
        """
        function = loads(serialised_func)
        options, name = CallOptions(), function_name(function)
        portable = PortableFunction(function, name, options.retry_on)
        task = single_task(
            portable,
            name,
            tuple(args),
            dict(kwargs),
            options,
            self.depot,
            shares_files=self.shares_files,
        )
        return recorded(task, self.submit_now(task)).result()

    def facts(self) -> str:
        """Return what is known of the engine without a look at its cluster, for its `repr`."""
        return ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.facts()})"

    def close(self) -> None:  # noqa: B027 - not abstract: most engines own nothing
        """Free the engine's resources.

        Calls that still run are abandoned, and their futures cancelled or failed.
        """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def closed() -> CallCancelledError:
    """Return the error of a call that is given to an engine after `close`."""
    return CallCancelledError("this backend is closed; use a new one")
