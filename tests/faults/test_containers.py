"""Workers in containers of Docker Compose: removed, restarted in turn, and out of memory."""

from collections.abc import Iterator

import pytest

from distribute_challenge import Future
from distribute_challenge.benchmarking.clusters.compose import ComposeCluster
from distribute_challenge.errors import WorkerLostError
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker.connection import connect
from tests.benchmarking.clusters.containers import free_place, new_cluster, remove_image
from tests.docker_engine import docker
from tests.faults.container_calls import counted, take_memory
from tests.faults.promises import BUSY, MADE_GOOD
from tests.processes import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.deadline(300), pytest.mark.slow]

WORKERS = 3
MEMORY = 200 << 20  # Bytes that a container of the second cluster may have.


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeCluster]:
    with pytest.MonkeyPatch.context() as context, free_place():
        context.setenv("WORKER_MEMORY", str(MEMORY))
        with new_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
            yield cluster
    remove_image()


@pytest.fixture
def backend(cluster: ComposeCluster) -> Iterator[CeleryExecutionBackend]:
    cluster.scale(WORKERS)  # Also if a test before has left fewer.
    with CeleryExecutionBackend(cluster.broker_url) as backend:
        yield backend


def workers(cluster: ComposeCluster) -> list[str]:
    return [each.id for each in cluster._watch.look() if each.service == "worker"]


def under_load(backend: CeleryExecutionBackend, key: str, count: int) -> list[Future[int]]:
    """Calls on their way, of which the first has run."""
    futures = [counted(key, number, 0.2).submit(backend) for number in range(count)]
    assert futures[0].result(60) == 0
    return futures


def test_calls_of_a_removed_container_run_elsewhere(
    cluster: ComposeCluster, backend: CeleryExecutionBackend
) -> None:
    futures = under_load(backend, "removed", 60)
    docker("rm", "--force", workers(cluster)[0])
    assert [future.result(60 * 0.2 + MADE_GOOD + BUSY) for future in futures] == list(range(60))


def test_a_rolling_restart_loses_nothing_and_runs_nothing_twice(
    cluster: ComposeCluster, backend: CeleryExecutionBackend
) -> None:
    futures = under_load(backend, "rolling", 150)
    for container in workers(cluster):
        docker("restart", "--time", "60", container, timeout=90)
    assert [future.result(60) for future in futures] == list(range(150))
    with connect(cluster.broker_url) as connection:
        assert set(connection.hvals("rolling")) == {b"1"}
    wait_until(lambda: len(workers(cluster)) == WORKERS, "all workers")


def test_a_call_that_takes_too_much_memory_fails_with_that_verdict(
    cluster: ComposeCluster, backend: CeleryExecutionBackend
) -> None:
    """Its neighbours in its container and in others have their values."""
    greedy = take_memory(4 * MEMORY).submit(backend)
    modest = [counted("memory", number, 0.05).submit(backend) for number in range(40)]
    error = greedy.exception(90)
    assert isinstance(error, WorkerLostError), error
    assert "out of memory" in str(error)
    assert "SIGKILL" in str(error)
    assert [future.result(60) for future in modest] == list(range(40))
