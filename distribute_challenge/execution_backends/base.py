"""The seam: what an engine must do. It moves calls and nothing else.

Everything a user sees (checking arguments, options, maps, awaiting) lies above this line and is the
same for every engine; everything about running user code lies below it, in `execution`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

from distribute_challenge.core import clock
from distribute_challenge.core.batching import GIVE_BACK_AFTER
from distribute_challenge.core.futures import Future
from distribute_challenge.core.messages import Task
from distribute_challenge.core.options import CallOptions
from distribute_challenge.core.outcome import Failure
from distribute_challenge.core.signature import function_name
from distribute_challenge.errors import BackendError, CallCancelledError
from distribute_challenge.execution.run import callable_bytes
from distribute_challenge.execution_backends.policy import IN_THE_FRAME, OPTIONS
from distribute_challenge.serialisation import PortableFunction, loads
from distribute_challenge.serialisation.tasks import single_task

if TYPE_CHECKING:
    from distribute_challenge.stores import Depot

__all__ = ["DETACHED_NEEDS_CLUSTER", "ExecutionBackend", "RunAdapter", "SupportsRun", "closed"]

DETACHED_NEEDS_CLUSTER = (
    "a detached call goes on when this process is gone, and the backend in use here does not: use "
    "the backend 'celery' with a "
    "cluster of your own, as in CELERY_BROKER_URL=redis://host; on one machine, "
    "`distribute-challenge cluster` starts one. A call "
    "inside a call cannot be detached"
)


@runtime_checkable
class SupportsRun(Protocol):
    """The smallest possible backend. Any object with this method is one."""

    def run(self, serialised_func: bytes, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Call the function that ``pickle.loads(serialised_func)`` gives, somewhere, and return its
        value.
        """


class ExecutionBackend(ABC):
    """An engine that runs tasks.

    A subclass needs `submit` alone; `concurrency` and `close` where they make sense. One is shared
    by all threads of a process, so its methods are called from several threads at once.
    """

    #: How many calls can run at the same time, as far as is known; 0 where `submit` itself runs the
    #: call.
    concurrency: int = 0

    #: The options of `CallOptions` that this engine keeps. A call for which another one was set is
    #: refused before anything is sent. By default, those that travel in a task's frame, and are
    #: kept where `execution.execute` runs it.
    honours: frozenset[str] = IN_THE_FRAME

    #: Whether its workers see the files of this machine; otherwise the files of the project's
    #: packages travel with the tasks.
    shares_files: bool = False

    @abstractmethod
    def submit(self, task: Task) -> Future[Any]:
        """Take one task and return at once (or when it has run, where ``concurrency`` is 0).

        The future resolves to the call's value or exception. If ``task.chunk`` is set, it resolves
        to a list of outcomes (a value, or a `Failure` in its place) for the first calls of the
        chunk: for at least one, and the caller submits the rest again. If the future then has
        `Future.following`, there need be none: the calls after those run, and the caller submits
        what comes behind them.

        What goes wrong with the task is the future's exception. Only what is wrong with the engine
        itself is raised here: an error of the branch `SystemFailureError`.
        """

    def submit_now(self, task: Task) -> Future[Any]:
        """Like `submit`, for a caller who is about to wait for this very call with `result`: not to
        be delayed for company.

        The future works in any other way too, but may then be resolved up to some seconds late.
        """
        return self.submit(task)

    def submit_detached(self, task: Task, time_to_live: float) -> Future[Any]:
        """Take one task that goes on when this process is gone; any process can `attach` to it by
        the future's ``id``.

        Args:
            task: What to run; nothing of it is in the depot.
            time_to_live: Seconds that its outcome is kept.

        Raises:
            BackendError: What runs here does not outlive this process.
        """
        raise BackendError(DETACHED_NEEDS_CLUSTER)

    def attach(self, id: str) -> Future[Any]:  # noqa: A002 - as it is called everywhere
        """The future of a call that some process submitted with `submit_detached`.

        Raises:
            BackendError: There are no such calls.
        """
        raise BackendError(DETACHED_NEEDS_CLUSTER)

    def depot(self) -> "Depot | None":
        """Who keeps the large values of this engine's tasks; None: they stay inside the tasks.

        An engine that has one passes the names of its places on with each batch, and releases the
        values of a task when its call is over.
        """
        return None

    def unfinished(self) -> int:
        """How many calls were submitted and are not done, so that `close` cancels them.

        Those of maps are not counted.
        """
        return 0

    def run(self, serialised_func: bytes, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Run a pickled function and wait for its value.

        Args:
            serialised_func: What `pickle.loads` or `cloudpickle.loads` turns into a callable.
            args: Positional arguments.
            kwargs: Keyword arguments.

        Raises:
            BaseException: What the function raised.
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
        return self.submit_now(task).result()

    def close(self) -> None:  # noqa: B027 - not abstract: most engines own nothing
        """Give back what the engine holds.

        Calls still running are abandoned, their futures cancelled or failed.
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
    """The error of a call that is given to an engine after `close`."""
    return CallCancelledError("this backend is closed; use a new one")


class RunAdapter(ExecutionBackend):
    """Makes a backend of an object that only has ``run``; each call runs while it is submitted.

    A call so is begun at once, in its turn and one time, whatever its options are. There is no
    queue that it could be sent to.

    Args:
        runner: The object.
    """

    honours = OPTIONS - {"queue"}

    def __init__(self, runner: SupportsRun) -> None:
        self._runner = runner
        self.name = type(runner).__name__

    def submit(self, task: Task) -> Future[Any]:
        future: Future[Any] = Future(task.function.name)
        function = callable_bytes(task)
        try:
            if task.chunk:
                future.resolve(self._run_chunk(function, loads(task.arguments)))
            else:
                args, kwargs = loads(task.arguments)
                future.resolve(self._runner.run(function, args, kwargs))
        except Exception as error:
            future.fail(error)
        return future

    def _run_chunk(self, function: bytes, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        outcomes: list[Any] = []
        deadline = clock.monotonic() + GIVE_BACK_AFTER
        for args in calls:
            try:
                outcomes.append(self._runner.run(function, args, {}))
            except Exception as error:
                outcomes.append(Failure(error))
            if clock.monotonic() > deadline:
                break
        return outcomes
