"""Whether a real worker still serves its client, what it has refused, and if its log is clean."""

import os

from distribute_challenge import compute_this
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker import presence
from distribute_challenge.execution_backends.celery.broker.connection import Broker
from tests.processes import PATIENCE, Program, wait_until

NASTY = "\x1b[2J\x1b]0;owned\x07\n2026-01-01 ERROR all is lost"


@compute_this
def whereabouts(number: int) -> tuple[int, int]:
    return number, os.getppid()


def refused(connection: Broker) -> int:
    """The number of refusals that the worker has told of."""
    return sum(worker.refused for worker in presence.workers(connection))


def refused_by_now(connection: Broker) -> int:
    """The number of refusals at the worker's next sign of life, which comes every two seconds."""
    connection.delete(presence.WorkerPresence.key)
    wait_until(lambda: presence.workers(connection), "a sign of life")
    return refused(connection)


def assert_serves(backend: CeleryExecutionBackend, worker: Program) -> None:
    """The same worker, and not another that was started in its place."""
    futures = [whereabouts(number).submit(backend) for number in range(5)]
    assert [future.result(PATIENCE) for future in futures] == [
        (number, worker.process.pid) for number in range(5)
    ]


def assert_log_is_clean(worker: Program) -> None:
    """Check that no text in the log acts on a terminal or looks like a line of its own."""
    assert "\x1b" not in worker.output
    assert "\n2026-01-01 ERROR" not in worker.output
