"""Functions to map, and backends whose chunks end as the test says."""

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from distribute_challenge import ExecutionBackend, compute_this
from distribute_challenge.core.chunk_result import ChunkResult
from distribute_challenge.core.futures import Future
from distribute_challenge.core.messages import Task
from distribute_challenge.serialisation import loads


@compute_this
def double(x: int) -> int:
    return 2 * x


@compute_this
def invert(x: int) -> float:
    return 1 / x


class ByHand(ExecutionBackend):
    """Keeps each chunk until the test says how it ends."""

    concurrency = 2
    result_size = 0  # Bytes of each result, as far as the engine knows.

    def __init__(self) -> None:
        self.waiting: deque[tuple[Task, Future[Any]]] = deque()
        self.sizes: list[int] = []

    def submit(self, task: Task) -> Future[Any]:
        future: Future[Any] = Future(task.function.name)
        self.waiting.append((task, future))
        self.sizes.append(task.calls)
        return future

    def finish(self, position: int = 0, first: int | None = None) -> None:
        """Resolve a chunk with twice its numbers, or only the first of them."""
        task, future = self.waiting[position]
        del self.waiting[position]
        outcomes = [2 * x for (x,) in loads(task.arguments)][:first]
        future.resolve(ChunkResult(outcomes, size=len(outcomes) * self.result_size))

    def fail(self, error: BaseException) -> None:
        self.waiting.popleft()[1].fail(error)


class Automatic(ByHand):
    """Ends each chunk at once, as scheduled: an exception, a number done, or None for all."""

    concurrency = 0

    def __init__(self, schedule: Callable[[list[int]], Any]) -> None:
        super().__init__()
        self._schedule = schedule

    def submit(self, task: Task) -> Future[Any]:
        future = super().submit(task)
        end = self._schedule([x for (x,) in loads(task.arguments)])
        if isinstance(end, BaseException):
            self.fail(end)
        else:
            self.finish(first=end)
        return future


def counting(pulled: list[int]) -> Iterator[int]:
    for number in itertools.count():
        pulled.append(number)
        yield number
