"""The smallest backends: objects with one method, ``run``."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from distribute_challenge.core import clock
from distribute_challenge.core.batching import GIVE_BACK_AFTER
from distribute_challenge.core.chunk_result import ChunkResult
from distribute_challenge.core.futures import Future
from distribute_challenge.core.messages import Task
from distribute_challenge.core.outcome import Failure
from distribute_challenge.execution.callables import callable_bytes
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.execution_backends.policy import OPTIONS
from distribute_challenge.serialisation import unpack

__all__ = ["RunAdapter", "SupportsRun"]


@runtime_checkable
class SupportsRun(Protocol):
    """The smallest possible backend: any object with this method is one."""

    def run(self, serialised_func: bytes, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Call the function ``pickle.loads(serialised_func)`` and return its value.

        The backend decides where the function runs.
        """


class RunAdapter(ExecutionBackend):
    """Makes an engine of an object that only has ``run``; `submit` runs each call at once.

    So every call begins at once, in order and exactly once, whatever its options are. There is no
    queue that it could be sent to.

    Args:
        runner: The object.
    """

    honours = OPTIONS - {"queue"}

    def __init__(self, runner: SupportsRun) -> None:
        self._runner = runner
        self.name = type(runner).__name__

    def facts(self) -> str:
        return self.name

    def submit(self, task: Task) -> Future[Any]:
        future: Future[Any] = Future(task.function.name)
        function = callable_bytes(task)
        try:
            if task.chunk:
                future.resolve(self._run_chunk(function, unpack(task.arguments)))
            else:
                args, kwargs = unpack(task.arguments)
                future.resolve(self._runner.run(function, args, kwargs))
        except Exception as error:
            future.fail(error)
        return future

    def _run_chunk(self, function: bytes, calls: Sequence[tuple[Any, ...]]) -> ChunkResult:
        outcomes: list[Any] = []
        deadline = clock.monotonic() + GIVE_BACK_AFTER
        for args in calls:
            try:
                outcomes.append(self._runner.run(function, args, {}))
            except Exception as error:
                outcomes.append(Failure(error))
            if clock.monotonic() > deadline:
                break
        return ChunkResult(outcomes)
