"""Running calls are stopped by their time limit or their client. Their slot is free for others."""

import time
from concurrent.futures import CancelledError

import pytest

from benchmarks.rig.diary import note
from distribute_challenge import compute_this
from distribute_challenge.errors import CallTimeoutError
from tests.faults.conftest import Make
from tests.faults.promises import BUSY, FREED, Load
from tests.processes import wait_until

pytestmark = pytest.mark.slow

LIMIT = 0.5  # Seconds that the calls may run.
KILLED_AFTER = (
    2.0  # Seconds behind that in which one which nothing can interrupt is killed with its process.
)


@compute_this
def endless(diary: str, where: str) -> None:
    note(diary, "endless")
    while True:
        if where == "C":
            sum(range(10**12))  # Nothing of Python's gets a chance in there.
        else:
            time.sleep(0.01)


WHERE = pytest.mark.parametrize("where", ["Python", "C"])


@WHERE
def test_a_call_that_is_cancelled_by_force_frees_its_slot(make: Make, where: str) -> None:
    rig, backend = make(workers=1)
    load = Load(rig, backend)
    future = endless(str(rig.diary.folder), where).submit(backend)
    load.wait_for_begin()
    begun = time.monotonic()
    assert future.cancel(force=True)
    load.submit(1)
    load.gives_right_values(within=FREED + BUSY)
    assert time.monotonic() - begun < FREED + BUSY
    with pytest.raises(CancelledError):
        future.result(5)
    assert future.cancelled()
    assert len(load.runs()["endless"]) == 1


@WHERE
def test_a_call_that_runs_over_its_time_frees_its_slot(make: Make, where: str) -> None:
    rig, backend = make(workers=1)
    load = Load(rig, backend)
    future = endless.with_options(timeout=LIMIT)(str(rig.diary.folder), where).submit(backend)
    load.wait_for_begin()
    load.submit(1)
    load.gives_right_values(within=LIMIT + KILLED_AFTER + BUSY)
    assert isinstance(future.exception(5), CallTimeoutError)
    assert len(load.runs()["endless"]) == 1


def test_a_call_that_has_not_begun_is_cancelled_without_running(make: Make) -> None:
    rig, backend = make(workers=1)
    load = Load(rig, backend)
    load.submit(1, 1.0)
    load.wait_for_begin()
    future = endless(str(rig.diary.folder), "Python").submit(backend)
    wait_until(lambda: future.cancel() or future.done(), "its cancellation")
    assert future.cancelled()
    load.submit(1)
    load.gives_right_values(within=60)
    assert "endless" not in load.runs()
