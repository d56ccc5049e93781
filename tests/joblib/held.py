"""An engine whose calls end when the test says so."""

from collections.abc import Callable
from typing import Any

from distribute_challenge import ExecutionBackend, Future
from distribute_challenge.core.messages import Task
from distribute_challenge.errors import BrokerUnreachableError

__all__ = ["HeldBackend"]


class HeldBackend(ExecutionBackend):
    """Takes calls and runs none.

    Args:
        concurrency: How many calls it claims to run at the same time.
        is_reachable: Whether `submit` works.

    Attributes:
        meanwhile: Called while a call is submitted.
    """

    def __init__(self, concurrency: int = 4, *, is_reachable: bool = True) -> None:
        self.concurrency = concurrency
        self.futures: list[Future[Any]] = []
        self.meanwhile: Callable[[], object] = list
        self._is_reachable = is_reachable

    def submit(self, task: Task) -> Future[Any]:
        self.meanwhile()
        if not self._is_reachable:
            raise BrokerUnreachableError("no Redis here")
        future: Future[Any] = Future(task.function.name)
        self.futures.append(future)
        return future
