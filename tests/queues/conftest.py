"""A Redis without workers, and two clients of it, as two processes would be; a queue of threads."""

from collections.abc import Iterator
from typing import Any

import pytest

from distribute_challenge import Queue
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.pools import ThreadsExecutionBackend
from tests.execution_backends.celery.conftest import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("q")) as server:
        yield server


@pytest.fixture
def backend(server: Server) -> Iterator[CeleryExecutionBackend]:
    with CeleryExecutionBackend(server.url) as backend:
        yield backend


@pytest.fixture
def other(server: Server) -> Iterator[CeleryExecutionBackend]:
    with CeleryExecutionBackend(server.url) as backend:
        yield backend


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """Name of a queue that no other test uses."""
    return str(request.node.nodeid)[-200:]


@pytest.fixture
def threads() -> Iterator[ThreadsExecutionBackend]:
    with ThreadsExecutionBackend(2) as threads:
        yield threads


@pytest.fixture
def items(threads: ThreadsExecutionBackend) -> "Queue[Any]":
    return Queue(backend=threads)
