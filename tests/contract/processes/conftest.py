"""Engines with one process or thread each, so that a call follows another in it."""

from collections.abc import Iterator

import pytest

from distribute_challenge import ExecutionBackend, LocalCluster
from distribute_challenge.execution_backends.local import LocalExecutionBackend
from distribute_challenge.execution_backends.pools import (
    ProcessesExecutionBackend,
    ThreadsExecutionBackend,
)


@pytest.fixture(scope="module")
def engines(cluster: LocalCluster) -> Iterator[dict[str, ExecutionBackend]]:
    """Each with one process or thread, so that a call follows another in it."""
    with ProcessesExecutionBackend(1) as processes, ThreadsExecutionBackend(1) as threads:
        yield {
            "celery": cluster.backend,
            "processes": processes,
            "threads": threads,
            "local": LocalExecutionBackend(),
        }


@pytest.fixture(params=["celery", "processes"])
def backend(
    request: pytest.FixtureRequest, engines: dict[str, ExecutionBackend]
) -> ExecutionBackend:
    """An engine whose processes exist to run calls."""
    return engines[request.param]


@pytest.fixture(params=["celery", "processes", "threads", "local"])
def any_backend(
    request: pytest.FixtureRequest, engines: dict[str, ExecutionBackend]
) -> ExecutionBackend:
    return engines[request.param]
