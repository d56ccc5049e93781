"""A worker that holds more than its processes can run at once."""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge import compute_this
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from tests.execution_backends.celery.conftest import DEADLINE, Server
from tests.processes import program

pytestmark = pytest.mark.celery

GREEDY_WORKER = """
import sys
from distribute_challenge.execution_backends.celery.worker.program import make_worker

worker = make_worker(sys.argv[1], concurrency=2)
worker.consumer.initial_prefetch_count = 6
worker.start()
"""


@compute_this
def nap(seconds: float, padding: Sequence[int] = ()) -> int:
    time.sleep(seconds)
    return len(padding)


def test_jobs_that_find_no_idle_process_and_such_as_fill_a_pipe_wait_and_run(
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
        large = [of_priority(number)(0.01, list(range(100_000))).submit(backend) for number in range(6)]
        assert [future.result(DEADLINE) for future in large] == [100_000] * 6


def of_priority(number: int) -> Any:
    """So that each call has a message of its own."""
    return nap.with_options(priority=number)
