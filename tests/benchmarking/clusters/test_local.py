"""The embedded cluster as one to measure."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from distribute_challenge import compute_this
from distribute_challenge.benchmarking.clusters.local import LocalWorkers, _command_line
from distribute_challenge.errors import BackendError, ClusterStartError
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from tests.calls import meet
from tests.processes import PATIENCE, mentioning, wait_until

pytestmark = [pytest.mark.celery, pytest.mark.slow]


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalWorkers]:
    with LocalWorkers() as cluster:
        yield cluster
        url = cluster.broker_url
    cluster.stop()
    assert mentioning(url) == {}
    assert cluster.label("worker@host/1") == "worker@host/1"


@pytest.fixture(scope="module")
def backend(cluster: LocalWorkers) -> Iterator[CeleryExecutionBackend]:
    with CeleryExecutionBackend(cluster.broker_url) as backend:
        yield backend


def test_usage_has_redis_the_main_process_and_each_worker(
    cluster: LocalWorkers, backend: CeleryExecutionBackend, tmp_path: Path
) -> None:
    cluster.scale(3)
    futures = [meet(str(tmp_path), 3).submit(backend) for _ in range(3)]
    pids = {future.result(PATIENCE)[0] for future in futures}
    usage = cluster.usage()
    assert sorted(usage) == ["main process", "redis", "worker-1", "worker-2", "worker-3"]
    assert all(1e6 < each.memory < 1e9 for each in usage.values())
    assert {cluster.label(f"worker@host/{pid}") for pid in pids} == {
        "worker-1",
        "worker-2",
        "worker-3",
    }
    cluster.check()


def test_usage_shows_about_one_core_for_a_spinning_worker(
    cluster: LocalWorkers, backend: CeleryExecutionBackend, tmp_path: Path
) -> None:
    door, started = tmp_path / "door", tmp_path / "started"

    def spin() -> None:
        started.write_text(str(os.getpid()))
        while not door.exists():
            pass

    future = compute_this(spin)().submit(backend)
    wait_until(lambda: started.exists() and started.read_text(), "the call")
    busy = cluster.label(f"worker@host/{started.read_text()}")

    def seen() -> bool:
        usage = (
            cluster.usage()
        )  # What else is up soon after the start, such as the main process, calms down.
        return max(usage, key=lambda name: usage[name].cpu) == busy and 0.3 < usage[busy].cpu < 1.3

    wait_until(seen, "a busy worker")
    door.touch()
    future.result(PATIENCE)


def test_free_worker_numbers_are_reused_and_ended_workers_keep_their_names(
    cluster: LocalWorkers,
) -> None:
    cluster.scale(3)
    before = {
        process.pid: name
        for name, process in cluster._processes().items()
        if name.startswith("worker")
    }
    cluster.scale(1)
    wait_until(lambda: len(cluster.usage()) == 3, "the end of two workers")
    cluster.scale(4)
    wait_until(lambda: len(cluster.usage()) == 6, "three new workers")
    assert sorted(cluster.usage()) == [
        "main process",
        "redis",
        *(f"worker-{number}" for number in range(1, 5)),
    ]
    for pid, name in before.items():
        assert cluster.label(f"worker@host/{pid}") == name


def test_an_unknown_worker_keeps_its_name(cluster: LocalWorkers) -> None:
    assert cluster.label("worker@host/1") == "worker@host/1"


def test_versions_include_the_version_of_redis(cluster: LocalWorkers) -> None:
    assert cluster.versions()["redis"].count(".") == 2


def test_a_dead_cluster_has_no_usage_and_check_raises_the_reason() -> None:
    with LocalWorkers() as cluster:
        wait_until(lambda: len(cluster.usage()) == 3)
        (supervisor,) = (
            pid for pid, line in mentioning(cluster.broker_url).items() if "supervisor.py" in line
        )
        psutil.Process(supervisor).kill()

        def noticed() -> bool:
            try:
                cluster.check()
            except ClusterStartError as error:
                return "supervisor was killed" in str(error)
            return False

        wait_until(noticed)
        assert cluster.usage() == {}


def test_usage_leaves_out_a_process_that_has_just_ended(
    cluster: LocalWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = psutil.Popen([sys.executable, "-c", ""])
    ended.wait(PATIENCE)
    assert _command_line(ended) == ""
    with monkeypatch.context() as context:
        context.setattr(cluster, "_processes", lambda: {"worker-1": ended})
        assert cluster.usage() == {}


def test_usage_leaves_out_processes_that_calls_have_left_to_the_supervisor(
    cluster: LocalWorkers, backend: CeleryExecutionBackend
) -> None:
    """Such as what a call has started and left."""

    def leave() -> int:
        import subprocess

        return int(subprocess.check_output("sleep 1000 >/dev/null 2>&1 & echo $!", shell=True))

    left = psutil.Process(compute_this(leave)().compute(backend, timeout=PATIENCE))
    wait_until(lambda: "supervisor" in " ".join(psutil.Process(left.ppid()).cmdline()))
    assert not [
        name for name in cluster.usage() if not name.startswith(("worker-", "main", "redis"))
    ]
    left.kill()


def test_without_psutil_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)  # As if not installed.
    with pytest.raises(BackendError, match=r"pip install docker matplotlib numpy psutil"):
        LocalWorkers()
