"""Dask distributed."""

import os
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from dask.distributed import Client

from benchmarks.faults.adapters.base import Adapter

__all__ = ["Dask"]


class Dask(Adapter):
    """A client of Dask: calls are futures, and detached ones are published as data sets."""

    packages = ("distributed", "dask")

    def __init__(self) -> None:
        self.client = Client(os.environ["FAULTS_ADDRESS"])

    def submit(self, function: Callable[..., int], arguments: list[Any]) -> Any:
        return self.client.submit(function, *arguments, pure=False)

    def is_done(self, call: Any) -> bool:
        return bool(call.done())

    def result(self, call: Any) -> int:
        return int(call.result())

    def cancel(self, call: Any) -> None:
        call.cancel(force=True)

    def submit_detached(self, function: Callable[..., int], arguments: list[Any]) -> str:
        name = uuid4().hex
        self.client.publish_dataset(self.submit(function, arguments), name=name)
        return name

    def attach(self, name: str) -> Any:
        return self.client.get_dataset(name)
