"""A Redis, and a real worker on it."""

from collections.abc import Iterator

import pytest

from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from tests.execution_backends.celery.conftest import Server
from tests.processes import Program
from tests.workers import start_worker


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("r")) as server:
        yield server


@pytest.fixture
def backend(server: Server) -> Iterator[CeleryExecutionBackend]:
    with CeleryExecutionBackend(server.url) as backend:
        yield backend


@pytest.fixture(scope="module")
def real_worker(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with start_worker(server.url, tmp_path_factory.mktemp("w"), processes=2) as running:
        running.wait_for("ready.")
        yield running
        running.process.terminate()
        assert running.wait() == 0
