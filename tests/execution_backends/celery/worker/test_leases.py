"""The lease of a call: another worker runs the call when it is over, and not before."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from distribute_challenge import compute_this
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.presence import workers
from tests.execution_backends.celery.conftest import DEADLINE, Server
from tests.workers import StartLeased, leased_workers

pytestmark = [pytest.mark.celery, pytest.mark.slow]

Eventually = Callable[[Callable[[], bool]], None]


@pytest.fixture
def start_worker(server: Server, tmp_path: Path) -> Iterator[StartLeased]:
    """Start a worker with one process and a short lease, by name, in a process group of its own."""
    with leased_workers(server.url, tmp_path) as start:
        yield start


def test_a_call_of_a_killed_worker_goes_to_another(
    server: Server, start_worker: StartLeased, eventually: Eventually, tmp_path: Path
) -> None:
    """It goes there when the lease is over: in seconds, as no worker renews it any more."""
    first = start_worker("first")

    @compute_this
    def who() -> str:
        begun = tmp_path / f"begun-{os.getppid()}"
        begun.touch()
        while begun.name == f"begun-{first_pid}":
            time.sleep(0.01)
        return "another"

    first_pid = first.pid
    with CeleryExecutionBackend(server.url) as backend:
        future = who().submit(backend)
        eventually((tmp_path / f"begun-{first_pid}").exists)
        os.killpg(first.pid, signal.SIGKILL)
        first.wait(DEADLINE)
        start_worker("second")
        assert future.result(DEADLINE) == "another"


def test_a_call_longer_than_its_lease_runs_once(
    server: Server, start_worker: StartLeased, tmp_path: Path, eventually: Eventually
) -> None:
    """The worker that runs it renews the lease, whatever other workers are idle."""
    start_worker("one")
    start_worker("two")
    runs = tmp_path / "runs"
    runs.mkdir()

    @compute_this
    def long() -> int:
        (runs / str(time.time())).touch()
        time.sleep(7)
        return len(list(runs.iterdir()))

    with CeleryExecutionBackend(server.url) as backend:
        eventually(lambda: len(workers(connect(server.url))) == 2)
        assert long().submit(backend).result(DEADLINE) == 1
