"""A Redis, and a real worker on it, started as users start it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from tests.execution_backends.celery.conftest import Server
from tests.processes import Program, program

__all__ = ["QUEUE", "start_worker"]

QUEUE = "distribute_challenge"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("r"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def backend(server: Server) -> Iterator[CeleryExecutionBackend]:
    with CeleryExecutionBackend(server.url) as backend:
        yield backend


def start_worker(url: str, folder: Path, name: str = "worker", **variables: str):  # type: ignore[no-untyped-def]
    """A worker of two processes, in a ``with`` block."""
    command = [sys.executable, "-m", "distribute_challenge", "worker", "--broker", url, "-c", "2", "-n", name]
    return program(command, folder, **variables)


@pytest.fixture(scope="module")
def real_worker(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with start_worker(server.url, tmp_path_factory.mktemp("w")) as running:
        running.wait_for("ready.")
        yield running
