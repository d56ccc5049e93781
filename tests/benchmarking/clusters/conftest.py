"""Fixtures of the clusters' tests."""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from distribute_challenge.benchmarking.clusters.compose import ComposeCluster
from distribute_challenge.benchmarking.clusters.compose_project import ComposeProject
from distribute_challenge.benchmarking.clusters.docker_engine import DockerEngine
from tests.benchmarking.clusters.containers import free_place, remove_image
from tests.benchmarking.clusters.fakes import FakeDocker, fake_docker
from tests.docker_engine import free_port
from tests.processes import mentioning


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


@pytest.fixture
def here(docker: FakeDocker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a Compose file, in which this process works and keeps temporary files."""
    (tmp_path / "docker-compose.yml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def cluster(docker: FakeDocker, port: int, tmp_path: Path) -> Iterator[ComposeCluster]:
    """A cluster that has not been started, and of which nothing is left in the end."""
    cluster = ComposeCluster(
        ComposeProject.find(),
        DockerEngine.connect(),
        output=tmp_path / "output" / "run",
        longest_call=10.2,
    )
    yield cluster
    cluster.stop()
    assert [docker.names(kind) for kind in ("containers", "networks", "volumes")] == [[], [], []]
    assert mentioning(str(docker.folder)) == {}
