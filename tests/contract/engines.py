"""The engines that the contract runs over. A new engine is one more line in `ENGINES`."""

import pickle
from collections.abc import Callable
from typing import Any

import pytest

from distribute_challenge import ExecutionBackend
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.local import LocalExecutionBackend
from distribute_challenge.execution_backends.pools import (
    ProcessesExecutionBackend,
    ThreadsExecutionBackend,
)
from distribute_challenge.execution_backends.run_adapter import RunAdapter
from tests.clusters import dask_backend, ray_backend

CLUSTERS = {"dask", "ray"}  # Other systems, which take seconds to start.
TIMEOUT = 60  # Seconds after which a test would rather fail than wait.


class OnlyRun:
    """The smallest possible backend."""

    def run(self, serialised_func: bytes, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return pickle.loads(serialised_func)(*args, **kwargs)


ENGINES: dict[str, Callable[[], ExecutionBackend]] = {
    "local": LocalExecutionBackend,
    "threads": lambda: ThreadsExecutionBackend(2),
    "processes": lambda: ProcessesExecutionBackend(2),
    "celery": CeleryExecutionBackend,
    "only-run": lambda: RunAdapter(OnlyRun()),
    "dask": dask_backend,
    "ray": ray_backend,
}
#: The same as parameters of fixtures.
PARAMETERS = [
    pytest.param(name, marks=pytest.mark.slow) if name in CLUSTERS else name for name in ENGINES
]
RUN_ON_SUBMIT = {"local", "only-run"}  # A call has ended when `submit` returns.
