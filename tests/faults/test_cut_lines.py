"""Lines to Redis that are cut, refused, half-open or dead: found out in time, and nothing is lost."""

import contextlib
import time

import pytest

from benchmarks.chaos.kinds import KINDS
from benchmarks.chaos.player import Player
from benchmarks.chaos.schedule import Fault
from benchmarks.rig.calls import answer, work
from distribute_challenge.errors import BrokerUnreachableError
from tests.faults.conftest import Make
from tests.faults.promises import BUSY, FOUND_OUT, MADE_GOOD, Load

pytestmark = pytest.mark.slow

SIDES = ("client", "worker")

# Faults that end, after which everything goes on by itself.
PASSING = [
    Fault(f"{side} line {harm}", at=0, lasts=lasts)
    for side in SIDES
    for harm, lasts in (("cut", 0), ("refused", 3), ("dead", 10))
]


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: f"{fault.kind} {fault.lasts:g} s")
def test_calls_survive_a_temporary_loss_of_the_connection(make: Make, fault: Fault) -> None:
    rig, backend = make(workers=2)
    load = Load(rig, backend)
    load.submit(20, 0.2)
    load.wait_for_begin()
    Player(rig).play([fault])
    load.submit(5)
    # A worker that was away for longer than its lease has lost what it held to others.
    load.gives_right_values(within=FOUND_OUT + MADE_GOOD + BUSY)


@pytest.mark.parametrize("side", SIDES)
def test_a_half_open_connection_is_detected_and_replaced(make: Make, side: str) -> None:
    """No process says that the other end is gone. New connections can be made."""
    rig, backend = make(workers=2)
    load = Load(rig, backend)
    load.submit(20, 0.2)
    load.wait_for_begin()
    fault = Fault(f"{side} line half-open", at=0)
    begun = time.monotonic()
    with KINDS[fault.kind].effect(rig, fault):
        load.submit(5)
        load.gives_right_values(within=FOUND_OUT + MADE_GOOD + BUSY)
        assert time.monotonic() - begun < FOUND_OUT + MADE_GOOD + BUSY
        load.submit(5)
        load.gives_right_values(within=60)


@pytest.mark.parametrize("harm", ["cut", "half-open"])
def test_compute_returns_a_value_or_raises_broker_unreachable_error_in_time(
    make: Make, harm: str
) -> None:
    """It is sent by the caller's own thread, on a line that was good a moment ago."""
    rig, backend = make(workers=1)

    def compute(call: str, seconds: float) -> str:
        return work(str(rig.diary.folder), call, seconds, "value").compute(backend)

    assert compute("c-1", 0) == answer("c-1")
    fault = Fault(f"client line {harm}", at=0)
    begun = time.monotonic()
    with KINDS[fault.kind].effect(rig, fault):
        with contextlib.suppress(BrokerUnreachableError):
            assert compute("c-2", 0) == answer("c-2")
        assert time.monotonic() - begun < FOUND_OUT + BUSY
        assert compute("c-3", 0) == answer("c-3")
