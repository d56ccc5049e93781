"""What is wrong with containers, and what is not."""

import logging
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from distribute_challenge.benchmarking.clusters.container_watch import ContainerWatch
from distribute_challenge.benchmarking.clusters.docker_engine import DockerEngine
from distribute_challenge.errors import ClusterStartError
from tests.benchmarking.clusters.fakes import FakeDocker, identity


@pytest.fixture
def watch(docker: FakeDocker) -> Iterator[ContainerWatch]:
    for name in ("redis-1", "worker-1", "worker-2"):
        put(docker, name)
    with closing(DockerEngine.connect()) as engine:
        yield ContainerWatch(engine, "any")


def put(docker: FakeDocker, name: str, state: str = "running") -> None:
    (docker.folder / "containers" / name).write_text(state)


def take(docker: FakeDocker, name: str) -> None:
    (docker.folder / "containers" / name).unlink()


def test_check_accepts_running_and_starting_containers(
    watch: ContainerWatch, docker: FakeDocker
) -> None:
    watch.check(workers=2, shrinking=False)
    put(docker, "worker-3", "created")  # It is being started.
    watch.check(workers=2, shrinking=False)
    for number in (1, 2, 3):
        take(docker, f"worker-{number}")
    watch.check(workers=0, shrinking=False)


@pytest.mark.parametrize(
    ("name", "state", "condition", "message"),
    [
        pytest.param("worker-2", "exited", {}, "worker-2 has ended", id="a worker ended"),
        pytest.param("worker-2", "dead", {}, "worker-2 has ended", id="a worker is dead"),
        pytest.param("redis-1", "exited", {}, "redis has ended", id="Redis ended"),
        pytest.param(
            "redis-1",
            "running",
            {"RestartCount": 1},
            "redis died, and what would be measured",
            id="Redis came back",
        ),
        pytest.param(
            "worker-1",
            "restarting",
            {"RestartCount": 2},
            "worker-1 dies again and again",
            id="crash loop",
        ),
    ],
)
def test_a_dead_or_restarted_container_is_an_error_with_exit_code_and_last_lines(
    name: str,
    state: str,
    condition: dict[str, Any],
    message: str,
    watch: ContainerWatch,
    docker: FakeDocker,
) -> None:
    put(docker, name, state)
    docker.conditions[name] = condition
    docker.ended(name, 3)
    with pytest.raises(ClusterStartError, match=message) as caught:
        watch.check(workers=2, shrinking=False)
    assert str(caught.value).endswith(
        f" (exit code 3); its last lines:\n    first of {name}\n    last of {name}"
    )


def test_an_unhealthy_redis_is_an_error_and_an_unhealthy_worker_is_not(
    watch: ContainerWatch, docker: FakeDocker
) -> None:
    """Docker says so of all that are being stopped."""
    ill = {"State": {"Health": {"Status": "unhealthy"}}}
    docker.conditions = {"worker-1": ill, "worker-2": ill}
    for _ in range(2):
        watch.check(workers=2, shrinking=False)
    docker.conditions = {"redis-1": ill}
    with pytest.raises(
        ClusterStartError, match="redis runs, but fails its health check; its last lines:"
    ):
        watch.check(workers=2, shrinking=False)


def test_a_crash_loop_is_detected_even_if_the_container_runs_at_each_look(
    watch: ContainerWatch, docker: FakeDocker
) -> None:
    docker.conditions["worker-2"] = {"RestartCount": 2}

    def look_at_each() -> None:
        for _ in range(2):
            watch.check(workers=2, shrinking=False)

    with pytest.raises(ClusterStartError, match="worker-2 dies again and again"):
        look_at_each()


def test_one_death_of_a_worker_is_let_pass_with_one_warning(
    watch: ContainerWatch, docker: FakeDocker, caplog: pytest.LogCaptureFixture
) -> None:
    docker.conditions["worker-2"] = {"RestartCount": 1}
    docker.events.append(("worker-2", {"Action": "oom"}))
    docker.ended("worker-2", 137)
    with caplog.at_level(logging.WARNING, logger="distribute_challenge"):
        for _ in range(4):
            watch.check(workers=2, shrinking=False)
    (record,) = caplog.records
    assert (
        "worker-2 died once, and was started again (exit code 137, out of memory); its last"
        in record.getMessage()
    )


def test_workers_that_end_while_the_cluster_scales_down_are_accepted(
    watch: ContainerWatch, docker: FakeDocker
) -> None:
    """Redis may not."""
    put(docker, "worker-2", "exited")
    watch.check(workers=1, shrinking=True)
    put(docker, "redis-1", "exited")
    with pytest.raises(ClusterStartError, match="redis has ended"):
        watch.check(workers=1, shrinking=True)


def test_a_missing_container_is_an_error(watch: ContainerWatch, docker: FakeDocker) -> None:
    with pytest.raises(ClusterStartError, match="1 of 3 worker containers are gone"):
        watch.check(workers=3, shrinking=False)
    take(docker, "redis-1")
    with pytest.raises(ClusterStartError, match="redis is gone"):
        watch.check(workers=2, shrinking=False)


def test_a_container_that_is_removed_between_list_and_inspection_is_no_error(
    watch: ContainerWatch, docker: FakeDocker
) -> None:
    put(docker, "worker-2", "exited")
    docker.breaks[f"/containers/{identity('worker-2')}/json"] = (
        404,
        b'{"message": "no such container"}',
    )
    watch.check(workers=2, shrinking=False)


def test_the_names_of_removed_containers_are_remembered(
    watch: ContainerWatch, docker: FakeDocker
) -> None:
    assert watch.name(identity("worker-2")[:12]) == "worker-2"
    take(docker, "worker-2")
    watch.look()
    assert watch.name(identity("worker-2")[:12]) == "worker-2"
    docker.breaks["/"] = 500, b'{"message": "no luck"}'  # A name is no reason to fail.
    assert watch.name("my-laptop") == watch.name("my-laptop") == "my-laptop"
