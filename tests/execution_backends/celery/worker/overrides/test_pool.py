"""A worker that holds more than its processes can run at once."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery.concurrency.asynpool import AsynPool
from celery.concurrency.prefork import TaskPool

from distribute_challenge import compute_this
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.worker.overrides.pool import (
    WorkerPool,
    _StraightPool,
)
from tests.execution_backends.celery.conftest import DEADLINE, Server
from tests.processes import program

pytestmark = pytest.mark.celery

GREEDY_WORKER = """
import sys
from distribute_challenge.execution_backends.celery.worker.main import make_worker

worker = make_worker(sys.argv[1], concurrency=2)
worker.consumer.initial_prefetch_count = 6
worker.start()
"""


@compute_this
def nap(seconds: float, padding: Sequence[int] = ()) -> int:
    time.sleep(seconds)
    return len(padding)


@pytest.mark.slow
def test_jobs_that_find_no_idle_process_or_fill_a_pipe_wait_and_run(
    server: Server, tmp_path: Path, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    with (
        program([sys.executable, "-c", GREEDY_WORKER, server.url], tmp_path) as worker,
        CeleryExecutionBackend(server.url) as backend,
    ):
        worker.wait_for("ready")
        slow = [of_priority(number)(0.3).submit(backend) for number in range(6)]
        assert [future.result(DEADLINE) for future in slow] == [0] * 6
        # In the message itself: what is one large buffer would travel otherwise.
        large = [
            of_priority(number)(0.01, list(range(100_000))).submit(backend) for number in range(6)
        ]
        assert [future.result(DEADLINE) for future in large] == [100_000] * 6


def of_priority(number: int) -> Any:
    """Return `nap` with a priority. Calls of different priorities share no message."""
    return nap.with_options(priority=number)


class Writing:
    """A job that is being written into a child's pipe."""

    def __init__(self, *, is_alive: bool) -> None:
        self._write_to = SimpleNamespace(_is_alive=lambda: is_alive)
        self.writer = object()

    def _writer(self) -> object:
        return self.writer


def test_half_written_jobs_are_completed_when_the_connection_breaks() -> None:
    """If the child is dead, another child gets it. Jobs that wait are kept."""
    alive, dead, waiting = (
        Writing(is_alive=True),
        Writing(is_alive=False),
        SimpleNamespace(_writer=None),
    )
    flushed: list[Any] = []
    unused = object()
    pool: Any = SimpleNamespace(
        _cache=dict(enumerate([alive, dead, waiting])),
        _active_writers={alive.writer, dead.writer, unused},
        _active_writes={1, 2},
        _flush_writer=lambda child, writer: flushed.append((child, writer)),
        maintain_pool=lambda: flushed.append("maintained"),
    )
    _StraightPool.flush(pool)
    assert flushed == [(alive._write_to, alive.writer), "maintained"]
    assert not pool._active_writers
    assert not pool._active_writes


def test_a_pool_without_on_death_leaves_a_death_to_celery(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool has no `on_death` before its worker has begun, or where other code watches it."""
    told: list[Any] = []
    monkeypatch.setattr(AsynPool, "on_job_process_lost", lambda self, *death: told.append(death))
    pool: Any = _StraightPool.__new__(_StraightPool)
    pool.on_death = None
    pool.on_job_process_lost("job", 7, 1)
    pool.on_death = lambda pid, code: told.append((pid, code))
    pool.on_job_process_lost("job", 8, 2)
    assert told == [("job", 7, 1), (8, 2), ("job", 8, 2)]


def test_a_pool_that_never_started_can_be_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(TaskPool, "on_stop", lambda self: None)
    pool: Any = WorkerPool.__new__(WorkerPool)
    pool._pool = None
    pool.on_stop()


def test_children_that_are_ended_at_once_are_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM would have them finish what they run."""
    monkeypatch.setattr(AsynPool, "terminate", lambda self: None)
    pool = _StraightPool.__new__(_StraightPool)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        ended = SimpleNamespace(pid=process.pid, _is_alive=lambda: False)
        pool._pool = [ended]
        pool.terminate()
        assert process.poll() is None
        pool._pool = [ended, SimpleNamespace(pid=process.pid, _is_alive=lambda: True)]
        pool.terminate()
        assert process.wait(DEADLINE) == -signal.SIGKILL
