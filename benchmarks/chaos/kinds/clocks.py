"""Clocks that are set while calls are on their way, by seconds to a day, forward or backward."""

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.chaos.kinds.clients import another_client, has_its_values
from benchmarks.chaos.kinds.kind import Kind, stand_in, worker_of
from benchmarks.chaos.schedule import Fault
from benchmarks.rig.rig import Rig
from benchmarks.rig.shifted_clock import ShiftedClock

__all__ = ["CLOCKS"]

JUMPS = (-86_400.0, -3_600.0, -20.0, 20.0, 120.0, 3_600.0, 86_400.0)  # Seconds.


@contextmanager
def worker_clock_set(rig: Rig, fault: Fault) -> Iterator[None]:
    clock = ShiftedClock(rig.folder / "worker_clock")
    with stand_in(worker_of(rig, fault), variables=clock.variables), another_client(rig) as client:
        clock.set(_jump(fault))
        yield
        has_its_values(client)
        clock.set(0.0)


@contextmanager
def client_clock_set(rig: Rig, fault: Fault) -> Iterator[None]:
    """Of another client."""
    clock = ShiftedClock(rig.folder / "client_clock")
    with another_client(rig, **clock.variables) as client:
        clock.set(_jump(fault))
        yield
        has_its_values(client)


def _jump(fault: Fault) -> float:
    return JUMPS[fault.on % len(JUMPS)]


CLOCKS = {
    "worker clock set": Kind(worker_clock_set, (2.0, 10.0)),
    "client clock set": Kind(client_clock_set, (0.0, 1.0)),
}
