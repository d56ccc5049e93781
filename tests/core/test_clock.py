"""The library's own time, whatever a test has set the clock to."""

import datetime
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any
from unittest import mock

import pytest

from distribute_challenge import compute_this
from distribute_challenge.core import clock
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend

pytestmark = pytest.mark.slow

TIMEOUT = 60  # Seconds.


@contextmanager
def mocked(year: int) -> Iterator[None]:
    moment = datetime.datetime(year, 1, 14, tzinfo=datetime.UTC).timestamp()
    with ExitStack() as stack:
        for name in ("time", "monotonic", "perf_counter"):
            stack.enter_context(mock.patch(f"time.{name}", return_value=moment))
        yield


def freezegun(year: int) -> AbstractContextManager[Any]:
    freeze: AbstractContextManager[Any] = pytest.importorskip("freezegun").freeze_time(
        f"{year}-01-14"
    )
    return freeze


def time_machine(year: int) -> AbstractContextManager[Any]:
    travel: AbstractContextManager[Any] = pytest.importorskip("time_machine").travel(
        f"{year}-01-14", tick=False
    )
    return travel


SetClock = Callable[[int], AbstractContextManager[Any]]


@pytest.fixture(params=[mocked, freezegun, time_machine], ids=lambda setter: setter.__name__)
def set_clock(request: pytest.FixtureRequest) -> SetClock:
    setter: SetClock = request.param
    setter(2012)  # Skipped, perhaps.
    return setter


@pytest.mark.parametrize("year", [2012, 2040])
def test_the_clock_goes_on_while_a_test_has_set_the_clocks_of_python(
    set_clock: SetClock, year: int
) -> None:
    """All three of its clocks."""
    before = clock.now(), clock.monotonic(), clock.uptime()
    with set_clock(year):
        within = clock.now(), clock.monotonic(), clock.uptime()
    for first, second in zip(before, within, strict=True):
        assert -0.1 < second - first < 60


@pytest.mark.celery
@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("year", [2012, 2040])
def test_a_cluster_starts_and_runs_calls_where_the_clock_is_set(
    set_clock: SetClock, year: int
) -> None:
    """Limits for waiting and cancelling work, and the timeline is that of the real clock."""
    square = compute_this(lambda x: x * x, queue_timeout=TIMEOUT)
    forever = compute_this(lambda: __import__("time").sleep(1000))
    with set_clock(year), CeleryExecutionBackend() as backend:
        assert square(3).compute(backend, timeout=TIMEOUT) == 9
        future = square(4).submit(backend)
        assert future.result(TIMEOUT) == 16
        assert list(square.map(range(100), backend=backend)) == [x * x for x in range(100)]
        stopped = forever().submit(backend)
        stopped.cancel(force=True)
        assert square(5).submit(backend).result(TIMEOUT) == 25
    timeline = future.timeline
    assert timeline is not None
    assert all(
        -1 < seconds < TIMEOUT
        for seconds in (timeline.waiting, timeline.running, timeline.returning)
    )


@pytest.mark.usefixtures("unmeasured")
def test_the_clock_goes_on_if_it_is_imported_while_a_test_has_set_the_clocks(
    set_clock: SetClock,
) -> None:
    """A lazy import may come at any time."""
    program = (
        "from tests.core.test_clock import mocked, freezegun, time_machine\n"
        "import sys\n"
        "for name in [name for name in sys.modules if name.startswith('distribute_challenge')]: "
        "del sys.modules[name]\n"
        f"with {set_clock.__name__}(2012):\n"
        "    from distribute_challenge.core import clock\n"
        "    print(clock.now())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert abs(float(done.stdout) - clock.now()) < 60


# Stands in for setting the clock of the machine, which is the other programs' as well.
SET_FORWARD = """
import time

real, shift = time.clock_gettime, 0.0
time.clock_gettime = lambda number: real(number) + (shift if number in (0, 5) else 0.0)
time.time = lambda: time.clock_gettime(0)
from distribute_challenge.core import clock

before, shown = clock.now(), time.time()
shift = 120.0
assert time.time() - shown >= 120
assert 0 <= clock.now() - before < 60, clock.now() - before
"""


def test_setting_the_system_clock_forward_does_not_age_anything() -> None:
    """The clock moves by two minutes, in the middle of a program."""
    subprocess.run([sys.executable, "-c", SET_FORWARD], check=True, timeout=TIMEOUT)
