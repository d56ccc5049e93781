"""What an engine says, by way of the SDK."""

import os
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from distribute_challenge.benchmarking.clusters.docker_engine import (
    Condition,
    Container,
    DockerEngine,
    End,
    Reading,
)
from distribute_challenge.errors import BackendError, ClusterStartError
from tests.benchmarking.clusters.fakes import FakeDocker, identity
from tests.docker_engine import free_port


@pytest.fixture
def engine(docker: FakeDocker) -> Iterator[DockerEngine]:
    for name in ("redis-1", "worker-3", "worker-run-1"):
        (docker.folder / "containers" / name).write_text("running")
    with closing(DockerEngine.connect()) as engine:
        yield engine


@pytest.mark.slow
def test_the_engine_named_by_docker_host_is_used(engine: DockerEngine) -> None:
    assert engine.version == "99.1"
    engine.close()
    assert engine.containers("any")


def test_the_engine_of_the_context_of_the_docker_command_is_used(
    docker: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:

    docker.set("context", os.environ["DOCKER_HOST"] + "\n")
    monkeypatch.delenv("DOCKER_HOST")
    with closing(DockerEngine.connect()) as engine:
        assert engine.version == "99.1"
    assert docker.calls == ["context inspect --format {{.Endpoints.docker.Host}}"]


def test_no_engine_is_an_error_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{free_port()}")
    with pytest.raises(
        ClusterStartError, match=r"^no Docker engine answers \(.*refused.*\)\nStart it"
    ):
        DockerEngine.connect()


def test_without_the_sdk_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "docker", None)  # As if not installed.
    with pytest.raises(BackendError, match=r"pip install docker matplotlib numpy psutil"):
        DockerEngine.connect()


def test_containers_are_named_by_service_and_number(engine: DockerEngine) -> None:
    """Containers of single commands have no number."""
    found = engine.containers("any")
    assert [container.name for container in found] == ["redis", "worker-3"]
    expected = Container(
        id=identity("worker-3"), service="worker", number="3", state="running", created=1_000.0
    )
    assert found[1] == expected


def test_condition_gives_restarts_and_health_of_a_container(
    engine: DockerEngine, docker: FakeDocker
) -> None:
    docker.conditions["worker-3"] = {"RestartCount": 2}
    docker.conditions["redis-1"] = {"State": {"Health": {"Status": "unhealthy"}}}
    assert engine.condition(identity("worker-3")) == Condition(restarts=2, healthy=True)
    assert engine.condition(identity("redis-1")) == Condition(restarts=0, healthy=False)
    assert engine.last_lines(identity("worker-3")) == ["first of worker-3", "last of worker-3"]


def test_last_end_gives_exit_code_and_lack_of_memory_of_a_container(
    engine: DockerEngine, docker: FakeDocker
) -> None:
    redis, worker = engine.containers("any")
    docker.ended("worker-3", 3)
    assert engine.last_end(redis) is None
    assert engine.last_end(worker) == End(exit_code=3, out_of_memory=False)
    docker.events.append(("worker-3", {"Action": "oom"}))
    docker.ended("worker-3", 137)
    assert engine.last_end(worker) == End(exit_code=137, out_of_memory=True)


def test_a_container_that_is_gone_is_no_error(engine: DockerEngine, docker: FakeDocker) -> None:
    """Wherever it is asked for, and however the engine puts it."""
    assert engine.condition(identity("worker-9")) is None
    assert engine.last_lines(identity("worker-9")) == []
    assert engine.readings([identity("worker-9")]) == [None]
    for status, body in ((409, b'{"message": "it is being removed"}'), (200, b"")):
        docker.breaks["/containers/"] = status, body
        assert engine.readings([identity("worker-3")]) == [None]


def test_readings_give_cpu_and_memory_or_none_for_a_stopped_container(
    engine: DockerEngine, docker: FakeDocker
) -> None:
    """A container that does not run takes nothing."""
    docker.readings["worker-3"] = 2.5
    assert engine.readings([identity("redis-1"), identity("worker-3")]) == [
        None,
        Reading(time=1010.123456, cpu=2.5, memory=4_000),
    ]


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        pytest.param({"usage": 9, "stats": {"inactive_file": 2}}, 7, id="cgroup v2"),
        pytest.param(
            {"usage": 9, "stats": {"inactive_file": 2, "total_inactive_file": 3}}, 6, id="cgroup v1"
        ),
        pytest.param(
            {"usage": 9, "stats": {"inactive_file": 10}}, 9, id="more cache than there is memory"
        ),
        pytest.param({"usage": 9, "stats": {}}, 9, id="unknown"),
    ],
)
def test_memory_is_counted_without_the_page_cache(
    memory: dict[str, object], expected: int, engine: DockerEngine, docker: FakeDocker
) -> None:
    docker.readings["worker-3"] = 1.0
    docker.memory = memory
    (reading,) = engine.readings([identity("worker-3")])
    assert reading is not None
    assert reading.memory == expected


def test_the_container_that_publishes_a_port_is_named(
    engine: DockerEngine, docker: FakeDocker
) -> None:
    assert engine.publisher(6379) is None
    docker.publisher = "other-redis-1"
    assert engine.publisher(6379) == "other-redis-1"


def test_containers_networks_and_volumes_of_a_project_are_listed_and_removed(
    engine: DockerEngine, docker: FakeDocker
) -> None:
    for kind in ("networks", "volumes"):
        (docker.folder / kind / "one").touch()
    assert engine.left_of("any") == ["redis-1", "worker-3", "worker-run-1", "one", "one"]
    engine.remove("any")
    assert engine.left_of("any") == []


def test_an_engine_that_fails_is_an_error(engine: DockerEngine, docker: FakeDocker) -> None:
    docker.breaks["/containers/json"] = 500, b'{"message": "the disk is full"}'
    with pytest.raises(ClusterStartError, match="the Docker engine failed: the disk is full"):
        engine.containers("any")
