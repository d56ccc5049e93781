"""Workers of two versions in one cluster, as while it is upgraded one worker after the other."""

from pathlib import Path

import pytest

from benchmarks.rig.calls import answer
from benchmarks.rig.other_version import other_version
from distribute_challenge import compute_this
from distribute_challenge.errors import CallCancelledError, VersionMismatchError
from tests.faults.conftest import Make
from tests.faults.promises import Load, queued
from tests.processes import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def other(tmp_path: Path) -> dict[str, str]:
    """Variables of a worker that has another version of the library."""
    return {"PYTHONPATH": str(other_version(tmp_path / "other"))}


@compute_this
def square(number: int) -> int:
    return number * number


def test_calls_run_on_the_workers_that_fit(make: Make, other: dict[str, str]) -> None:
    """Calls of all kinds run once. Waiting ones can be cancelled, and fail if no worker fits."""
    rig, backend = make()
    rig.add_worker(**other).wait_until_ready()
    rig.workers[0].end(within=60)
    load = Load(rig, backend)
    detached = [square(number).submit(backend, detach=True) for number in range(5)]
    load.submit(20, 0.05)
    assert list(square.map(range(50), backend=backend, batch_size=2)) == [
        number**2 for number in range(50)
    ]
    load.gives_right_values(within=60)
    assert [future.result(60) for future in detached] == [number**2 for number in range(5)]
    assert load.run_twice() == []

    (busy,) = load.submit(1, 4.0)
    load.wait_for_begin(21)
    waiting = square(3).submit(backend, detach=True)
    # The other worker may have just taken it, and puts it back.
    wait_until(waiting.cancel, "a call that is in its queue")
    with pytest.raises(CallCancelledError):
        waiting.result(1)
    assert busy.result(60) == answer("c-20")

    rig.workers[1].end(within=60)
    with pytest.raises(VersionMismatchError, match=r"this worker 99\.0\.0"):
        square(3).compute(backend, timeout=60)
    wait_until(lambda: queued(rig) == 0, "a queue that is empty")


def test_calls_that_wait_for_a_worker_that_leaves_fail_soon(
    make: Make, other: dict[str, str]
) -> None:
    """They have been put back as long as it was there."""
    rig, backend = make(workers=1)
    rig.add_worker(**other).wait_until_ready()
    load = Load(rig, backend)
    (busy,) = load.submit(1, 4.0)
    load.wait_for_begin()
    waiting = [square(number).submit(backend, detach=True) for number in range(5)]
    assert rig.workers[0].end(within=60) == 0
    assert busy.result(60) == answer("c-0")
    for future in waiting:
        assert isinstance(future.exception(60), VersionMismatchError)
