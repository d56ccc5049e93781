"""Fixtures of the clusters' tests."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from distribute_challenge.benchmarking.clusters.docker_engine import DockerEngine
from tests.benchmarking.clusters.containers import free_place, remove_image
from tests.benchmarking.clusters.fakes import FakeDocker, fake_docker
from tests.docker_engine import free_port


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    """A free port, for Redis."""
    number = free_port()
    monkeypatch.setenv("REDIS_PORT", str(number))
    return number


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDocker]:
    """A Docker that is none."""
    folder = tmp_path / "docker"
    folder.mkdir()
    monkeypatch.delenv("COMPOSE_FILE", raising=False)
    with fake_docker(folder, monkeypatch) as fake:
        yield fake


@pytest.fixture(scope="module")
def engine() -> Iterator[DockerEngine]:
    """The real one."""
    with closing(DockerEngine.connect()) as engine:
        yield engine
    remove_image()


@pytest.fixture
def place(engine: DockerEngine) -> Iterator[int]:
    """A free port for real containers, at which nothing is left in the end."""
    with free_place() as port:
        yield port
