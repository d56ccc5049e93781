"""Signals that tell workers to end, sent to one of their processes or to all at once."""

import os
import signal
import sys
import time

import pytest

from distribute_challenge import compute_this
from distribute_challenge.errors import WorkerLostError
from distribute_challenge.execution_backends.celery.broker import presence
from tests.faults.conftest import Make
from tests.faults.promises import Load, worker_of
from tests.processes import wait_until

pytestmark = pytest.mark.slow


@compute_this(at_most_once=True)
def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@compute_this(at_most_once=True)
def ring() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    time.sleep(30)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_worker_whose_processes_all_get_a_signal_finishes_what_runs(
    make: Make, number: signal.Signals
) -> None:
    """systemd, Slurm and supervisord send it so. Calls that have not begun run elsewhere."""
    rig, backend = make(workers=2, processes=2)
    load = Load(rig, backend)
    load.submit(16, 0.5)
    entries = load.wait_for_begin(4)
    worker = worker_of(rig, entries[0].pid)
    os.killpg(worker.pid, number)
    load.gives_right_values(within=60)
    assert load.run_twice() == []
    if number == signal.SIGTERM:
        wait_until(lambda: worker.code == 0, "its end")


@compute_this
def where_modules_lie() -> tuple[list[str], bool]:
    return sys.path, sys.flags.safe_path


def test_a_worker_that_starts_anew_finds_the_same_modules(make: Make) -> None:
    """SIGHUP to its main process starts it anew."""
    rig, backend = make(workers=1)
    (worker,) = rig.workers
    before = where_modules_lie().compute(backend, timeout=60)
    worker.send(signal.SIGHUP)
    worker.wait_until_ready(2)
    assert where_modules_lie().compute(backend, timeout=60) == before


@pytest.mark.parametrize("numbers", [(signal.SIGINT, signal.SIGINT), (signal.SIGQUIT,)])
def test_calls_of_a_worker_ended_at_once_run_elsewhere_unless_at_most_once(
    make: Make, numbers: tuple[signal.Signals, ...]
) -> None:
    """A call that may run once fails. The worker says that it leaves, so it does not count."""
    rig, backend = make(workers=1, processes=2, lease=2)
    once = nap(30.0).submit(backend)
    load = Load(rig, backend)
    load.submit(1, 2.0)
    load.wait_for_begin()
    wait_until(once.running, "the first call")
    (worker,) = rig.workers
    for number in numbers:
        said = len(worker.log)
        os.killpg(worker.pid, number)
        wait_until(lambda said=said: len(worker.log) > said, "that it has taken notice")
    wait_until(lambda: worker.code is not None, "its end")
    assert "Traceback" not in worker.log
    assert "Error on stopping" not in worker.log
    with rig.redis.connection() as connection:
        assert presence.workers(connection) == []  # It has said that it leaves.
    rig.add_worker()
    load.gives_right_values(within=60)
    assert len(load.run_twice()) == 1
    with pytest.raises(WorkerLostError):
        once.result(60)


def test_a_signal_that_ends_programs_costs_the_call_and_is_named(make: Make) -> None:
    """A call may set an alarm without a handler."""
    _, backend = make(workers=1)
    with pytest.raises(WorkerLostError, match="SIGALRM"):
        ring().compute(backend, timeout=60)
