"""A cluster of real containers: what is lost when it is scaled, and what it says of itself."""

import logging
import os
import platform
from collections.abc import Iterator
from pathlib import Path

import pytest

from distribute_challenge import compute_this
from distribute_challenge.benchmarking.clusters.compose import ComposeCluster
from distribute_challenge.benchmarking.clusters.docker_engine import DockerEngine
from distribute_challenge.errors import ClusterStartError
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker import presence
from distribute_challenge.execution_backends.celery.broker.connection import connect
from tests.benchmarking.clusters.calls import kill_worker_once, spin_until, wait_at
from tests.benchmarking.clusters.containers import free_place, new_cluster
from tests.processes import PATIENCE, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.slow]


@pytest.fixture(scope="module")
def cluster(
    engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ComposeCluster]:
    """A cluster that several tests scale as they need it."""
    with free_place(), new_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster
        cluster.check()


@pytest.fixture(scope="module")
def backend(cluster: ComposeCluster) -> Iterator[CeleryExecutionBackend]:
    with CeleryExecutionBackend(cluster.broker_url) as backend:
        yield backend


def scale(cluster: ComposeCluster, workers: int) -> None:
    """Scale the cluster, and wait until it has exactly this many workers."""
    cluster.scale(workers)

    def done() -> bool:
        cluster.check()
        return len(present(cluster)) == workers == len(cluster._watch.look()) - 1

    wait_until(done, f"a cluster of {workers}")


def present(cluster: ComposeCluster) -> list[str]:
    with connect(cluster.broker_url) as connection:
        return [worker.host for worker in presence.workers(connection)]


def test_scaling_the_cluster_up_and_down_leaves_redis_running(
    cluster: ComposeCluster, backend: CeleryExecutionBackend
) -> None:
    def redis() -> tuple[str, str]:
        (container,) = (each.id for each in cluster._watch.look() if each.service == "redis")
        with connect(cluster.broker_url) as connection:
            return container, connection.info("server")["run_id"]

    before = redis()
    scale(cluster, 1)
    scale(cluster, 3)
    hosts = present(cluster)
    assert {cluster.label(f"worker@{host}/7") for host in hosts} == {
        "worker-1",
        "worker-2",
        "worker-3",
    }
    scale(cluster, 1)
    assert compute_this(len)("abc").compute(backend, timeout=PATIENCE) == 3
    assert redis() == before
    assert {cluster.label(f"worker@{host}/7") for host in hosts} == {
        "worker-1",
        "worker-2",
        "worker-3",
    }


def test_scaling_down_under_load_loses_no_call(
    cluster: ComposeCluster, backend: CeleryExecutionBackend
) -> None:
    """Running calls end where they run, and the worker that stays runs the waiting ones."""
    scale(cluster, 3)
    with connect(cluster.broker_url) as connection:
        futures = [wait_at("load").submit(backend) for _ in range(3)]
        wait_until(lambda: connection.get("load.begun") == b"3", "three running calls")
        futures += [wait_at("load").submit(backend) for _ in range(2)]
        cluster.scale(1)
        cluster.check()
        assert len(cluster._watch.look()) == 4  # No container that runs a call is gone.
        connection.rpush("load", *["go"] * 5)
        assert [future.result(PATIENCE) for future in futures] == ["done"] * 5
        assert connection.get("load.begun") == b"5"  # None ran twice.
    scale(cluster, 1)


def test_usage_shows_the_highest_cpu_for_the_busy_worker(
    cluster: ComposeCluster, backend: CeleryExecutionBackend
) -> None:
    scale(cluster, 2)
    with connect(cluster.broker_url) as connection:
        future = spin_until("enough").submit(backend)
        wait_until(
            lambda: max(each.cpu for each in cluster.usage().values()) > 0.2, "a busy worker"
        )
        usage = cluster.usage()
        connection.set("enough", 1)
    busy = cluster.label(f"worker@{future.result(PATIENCE)}/7")
    assert set(usage) == {"redis", "worker-1", "worker-2"}
    assert max(usage, key=lambda each: usage[each].cpu) == busy
    assert usage[busy].cpu < 1.3
    assert all(1e6 < each.memory < 1e9 for each in usage.values())
    assert usage["redis"].memory < usage[busy].memory


def test_versions_are_those_of_the_running_programs(
    cluster: ComposeCluster, engine: DockerEngine
) -> None:
    versions = cluster.versions()
    assert versions["docker"] == engine.version
    assert versions["compose"].startswith(("2.", "5."))
    assert versions["worker_python"].startswith(platform.python_version().rpartition(".")[0] + ".")
    assert versions["redis"].startswith("7.")


def test_the_first_death_of_a_worker_is_a_warning_and_the_second_an_error(
    cluster: ComposeCluster,
    backend: CeleryExecutionBackend,
    engine: DockerEngine,
    caplog: pytest.LogCaptureFixture,
) -> None:
    scale(cluster, 1)
    (worker,) = (each.id for each in cluster._watch.look() if each.service == "worker")

    def restarts() -> int:
        condition = engine.condition(worker)
        assert condition is not None
        return condition.restarts

    kill_worker_once("death 1").submit(backend)
    wait_until(lambda: restarts() == 1, "a restart")
    with caplog.at_level(logging.WARNING, logger="distribute_challenge"):
        cluster.check()
    assert "worker-1 died once, and was started again (exit code 137)" in caplog.text
    wait_until(lambda: len(present(cluster)) == 1, "the worker's return")
    kill_worker_once("death 2").submit(backend)
    wait_until(lambda: restarts() == 2, "a restart")
    with pytest.raises(
        ClusterStartError, match=r"worker-1 dies again and again, 2 times so far .*\n    "
    ):
        cluster.check()
    cluster.scale(0)
    wait_until(lambda: len(cluster._watch.look()) == 1, "the worker's end")


def test_a_second_benchmark_at_the_same_port_is_refused(
    cluster: ComposeCluster, engine: DockerEngine, tmp_path: Path
) -> None:
    port = int(cluster.broker_url.rpartition(":")[2].partition("/")[0])
    second = new_cluster(tmp_path)
    with (
        pytest.raises(ClusterStartError, match=rf"another benchmark \(process {os.getpid()}\)"),
        second,
    ):
        pass
    assert engine.publisher(port) == f"distribute_challenge_load_{port}-redis-1"
    cluster.check()
