"""Which cluster is measured."""

import os
from pathlib import Path

import pytest

from distribute_challenge.benchmarking.clusters.base import Cluster
from distribute_challenge.benchmarking.clusters.choice import KINDS, choose
from distribute_challenge.errors import ClusterStartError, OptionError
from tests.benchmarking.clusters.fakes import FakeDocker


def chosen(kind: str) -> tuple[Cluster, str]:
    return choose(kind, output=Path("out"), longest_call=1.0)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docker-compose.yml").touch()
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("kind", ["auto", "compose"])
def test_docker_is_chosen_if_the_engine_answers(
    kind: str, docker: FakeDocker, checkout: None, port: int
) -> None:
    cluster, line = chosen(kind)
    assert cluster.kind == "compose"
    assert cluster.broker_url.endswith(f"@127.0.0.1:{port}/0")
    assert line == "cluster: Docker Compose 2.99.1, engine 99.1"
    cluster.stop()


def test_without_docker_the_embedded_cluster_is_chosen_and_the_line_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    cluster, line = chosen("auto")
    assert cluster.kind == "local"
    assert line == "cluster: embedded, 2 cores, because there is no docker command"


def test_the_embedded_cluster_can_be_asked_for(
    docker: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    cluster, line = chosen("local")
    assert (cluster.kind, line) == ("local", "cluster: embedded, 1 core")
    assert docker.calls == []


def test_compose_without_a_docker_command_is_an_error_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        ClusterStartError, match=r"^there is no docker command\nInstall .*\n.* --cluster local$"
    ):
        chosen("compose")


def test_auto_raises_for_an_unusable_compose_file_and_does_not_fall_back(
    docker: FakeDocker, checkout: None
) -> None:
    docker.set("on-config", "echo '{}'; exit")
    with pytest.raises(ClusterStartError, match="the Compose file has no service redis"):
        chosen("auto")


def test_an_unknown_kind_of_cluster_is_refused() -> None:
    with pytest.raises(OptionError, match="cluster 'k8s': expected one of auto, compose, local"):
        chosen("k8s")
    assert KINDS == ("auto", "compose", "local")
