"""Calls that no worker takes: the user is told, and need not wait for ever."""

import logging
import time

import pytest

from benchmarks.rig.calls import answer
from distribute_challenge.errors import QueueTimeoutError
from tests.faults.conftest import Make
from tests.faults.promises import BUSY, GONE, MADE_GOOD, WARNED, Load
from tests.processes import wait_until

pytestmark = pytest.mark.slow

QUEUE_TIMEOUT = 2.0


@pytest.mark.parametrize("gone", [False, True], ids=["never one there", "all gone"])
def test_a_call_without_workers_is_warned_of_and_fails_when_its_time_is_over(
    make: Make, caplog: pytest.LogCaptureFixture, gone: bool
) -> None:
    """A worker that comes later does not run it."""
    rig, backend = make(workers=int(gone))
    load = Load(rig, backend)
    for worker in rig.workers:
        load.submit(1)
        load.gives_right_values(within=60)
        worker.kill()
    with caplog.at_level(logging.WARNING, logger="distribute_challenge"):
        begun = time.monotonic()
        (waiting,) = load.submit(1)
        last = next(reversed(load.futures))
        (limited,) = load.submit(1, queue_timeout=QUEUE_TIMEOUT)
        error = limited.exception(QUEUE_TIMEOUT + BUSY)
        assert isinstance(error, QueueTimeoutError)
        assert time.monotonic() - begun >= QUEUE_TIMEOUT
        wait_until(
            lambda: "no worker" in caplog.text,
            "a warning that there is no worker",
            within=WARNED + BUSY + GONE,
        )
        assert time.monotonic() - begun < WARNED + BUSY + GONE * gone
    runs = load.runs()
    rig.add_worker()
    assert waiting.result(20 + MADE_GOOD) == answer(last)
    load.submit(1)[0].result(60)
    assert set(load.runs()) - set(runs) == {last, next(reversed(load.futures))}
