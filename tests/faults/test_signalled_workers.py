"""Signals that tell workers to end, sent to one of their processes or to all at once."""

import os
import signal
import time

import pytest

from distribute_challenge import compute_this
from distribute_challenge.errors import WorkerLostError
from tests.faults.conftest import Make
from tests.faults.promises import Load, worker_of
from tests.processes import wait_until


@compute_this
def process() -> int:
    return os.getpid()


@compute_this(at_most_once=True)
def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@compute_this(at_most_once=True)
def ring() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    time.sleep(30)


def is_ended_by(pid: int, number: signal.Signals) -> bool:
    """Send a signal; whether the process has ended by now."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_worker_whose_processes_all_get_a_signal_finishes_what_runs(
    make: Make, number: signal.Signals
) -> None:
    """As systemd, Slurm and supervisord send it. What it has not begun runs elsewhere."""
    rig, backend = make(workers=2, processes=2)
    load = Load(rig, backend)
    load.submit(16, 0.5)
    entries = load.wait_for_begin(4)
    worker = worker_of(rig, entries[0].pid)
    os.killpg(worker.pid, number)
    load.gives_right_values(within=30)
    assert load.run_twice() == []
    if number == signal.SIGTERM:
        wait_until(lambda: worker.code == 0, "its end")


@pytest.mark.parametrize("numbers", [(signal.SIGINT, signal.SIGINT), (signal.SIGQUIT,)])
def test_what_a_worker_ran_that_is_ended_at_once_runs_elsewhere(
    make: Make, numbers: tuple[signal.Signals, ...]
) -> None:
    """As when it is killed: a call that may run once fails."""
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
    rig.add_worker()
    load.gives_right_values(within=30)
    assert len(load.run_twice()) == 1
    with pytest.raises(WorkerLostError):
        once.result(30)


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2]
)
def test_a_process_that_gets_a_signal_finishes_its_call_and_is_replaced(
    make: Make, number: signal.Signals
) -> None:
    rig, backend = make(workers=1)
    load = Load(rig, backend)
    load.submit(1, 0.5)
    (entry,) = load.wait_for_begin()
    os.kill(entry.pid, number)
    load.gives_right_values(within=20)
    assert load.run_twice() == []
    other = process().compute(backend, timeout=20)
    assert other != entry.pid
    wait_until(lambda: is_ended_by(other, number), "its end")  # At once when it waits for a call.
    assert process().compute(backend, timeout=20) != other


def test_a_signal_that_ends_programs_costs_the_call_and_is_named(make: Make) -> None:
    """As an alarm that a call has set, and has no handler for."""
    _, backend = make(workers=1)
    with pytest.raises(WorkerLostError, match="SIGALRM"):
        ring().compute(backend, timeout=20)
