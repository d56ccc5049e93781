"""A real worker, and what can happen to it."""

import time
from pathlib import Path

import psutil
import pytest

from benchmarks.rig.calls import answer, work
from benchmarks.rig.rig import Rig
from benchmarks.rig.worker_process import WorkerProcess
from distribute_challenge.errors import ClusterStartError
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from tests.processes import PATIENCE, alive, wait_until

pytestmark = pytest.mark.slow


def runs_a_call(rig: Rig, backend: CeleryExecutionBackend) -> bool:
    call = f"c-{time.time_ns()}"
    future = work(str(rig.diary.folder), call, 0.0, "value").submit(backend)
    return future.result(PATIENCE) == answer(call)


def test_a_killed_worker_leaves_no_process_and_can_be_started_again(
    rig: Rig, backend: CeleryExecutionBackend
) -> None:
    (worker,) = rig.workers
    processes = [worker.pid, *worker.children()]
    assert len(processes) == 2
    worker.kill()
    wait_until(lambda: alive(processes) == [])
    assert worker.children() == []
    assert worker.code is not None
    worker.kill()  # Nothing happens.
    worker.start()
    worker.wait_until_ready()
    assert worker.code is None
    assert runs_a_call(rig, backend)


def test_a_child_that_is_killed_is_replaced(rig: Rig, backend: CeleryExecutionBackend) -> None:
    (worker,) = rig.workers
    before = worker.children()
    worker.kill_child()
    wait_until(lambda: worker.children() and worker.children() != before, "another child")
    assert runs_a_call(rig, backend)


def test_a_frozen_worker_and_its_child_processes_are_stopped_until_thawed(
    rig: Rig, backend: CeleryExecutionBackend
) -> None:
    (worker,) = rig.workers
    processes = [psutil.Process(pid) for pid in (worker.pid, *worker.children())]
    worker.freeze()
    wait_until(lambda: {each.status() for each in processes} == {psutil.STATUS_STOPPED})
    worker.thaw()
    assert runs_a_call(rig, backend)


def test_a_worker_that_is_told_to_end_exits_with_code_0(
    rig: Rig, backend: CeleryExecutionBackend
) -> None:
    (worker,) = rig.workers
    assert worker.end(within=PATIENCE) == 0
    worker.start()
    worker.wait_until_ready()
    assert runs_a_call(rig, backend)


def test_a_worker_that_does_not_start_is_an_error_with_its_last_lines(tmp_path: Path) -> None:
    worker = WorkerProcess(tmp_path, name="w", environment={}, options=["--no-such-option"])
    worker.start()
    with pytest.raises(ClusterStartError, match=r"(?s)worker w is not ready .*no-such-option"):
        worker.wait_until_ready()
    worker.close()


def test_a_worker_with_a_different_lease_runs_calls(tmp_path: Path) -> None:
    with (
        Rig(tmp_path, workers=1, lease=3) as short,
        short.as_client(),
        CeleryExecutionBackend(short.client_url) as client,
    ):
        assert runs_a_call(short, client)
