"""A Redis without workers, and two clients of it, as two processes would be."""

from collections.abc import Iterator

import pytest

from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
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
