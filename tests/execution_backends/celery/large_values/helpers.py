"""Calls with large values, and what is kept of them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy

from distribute_challenge import compute_this
from distribute_challenge.execution_backends.celery.broker import presence
from distribute_challenge.execution_backends.celery.broker.connection import connect
from tests.execution_backends.celery.conftest import FakeWorker, Server
from tests.stores.shared_memory.files import values_below

ARRAY = numpy.arange(50_000, dtype=float)  # 400 kB


@compute_this
def double(x: Any) -> Any:
    return x * 2


@compute_this
def total(*arrays: Any) -> float:
    return float(sum(array.sum() for array in arrays))


@compute_this
def write(x: Any) -> None:
    x[0] = 1


class Place:
    """What lies in shared memory and in Redis."""

    def __init__(self, memory: Path, server: Server) -> None:
        self.path = memory
        self._connection = connect(server.url)

    @property
    def memory(self) -> list[str]:
        return [path.name for path in values_below(self.path)]

    @property
    def redis(self) -> list[bytes]:
        return self._connection.keys("distribute_challenge:value:*")  # type: ignore[return-value] # typed for async too

    @property
    def is_empty(self) -> bool:
        return not self.memory and not self.redis


def show(worker: FakeWorker, *memories: str) -> None:
    for number, memory in enumerate(memories):
        presence.show(
            worker.connection,
            presence.WorkerPresence(f"w{number}", 1, ["distribute_challenge"], memory),
        )


def mapped(worker: FakeWorker, results: Iterator[Any]) -> list[Any]:
    """What a map gives, while its messages are taken by hand."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(list, results)
        worker.serve([future])  # type: ignore[list-item] # it asks whether it is done
        return future.result()
