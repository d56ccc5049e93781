"""Schedules are played in time, and to their end."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest

from benchmarks.chaos import player as module
from benchmarks.chaos.kinds import Kind
from benchmarks.chaos.player import Player
from benchmarks.chaos.schedule import Fault


@pytest.fixture
def happened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    events: list[str] = []

    @contextmanager
    def effect(rig: Any, fault: Fault) -> Iterator[None]:
        events.append(f"{fault.on} begins")
        yield
        events.append(f"{fault.on} ends")

    monkeypatch.setattr(module, "KINDS", {"fake": Kind(effect)})
    return events


class Clock:
    """Its time passes only while the player waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)

    def wait(self, seconds: float) -> None:
        self.now += seconds


def test_each_fault_begins_in_its_time_or_as_soon_as_the_last_is_over(
    happened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    times: list[float] = []
    schedule = [Fault("fake", 1, lasts=5, on=1), Fault("fake", 3, on=2), Fault("fake", 10, on=3)]
    player = Player(object(), wait=clock.wait, began=lambda _: times.append(clock.now))  # type: ignore[arg-type]
    assert [played.fault for played in player.play(schedule)] == schedule
    assert happened == ["1 begins", "1 ends", "2 begins", "2 ends", "3 begins", "3 ends"]
    assert times == [1, 6, 10]


def test_a_fault_that_overruns_delays_the_later_faults_by_that_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They keep their distances."""
    clock = Clock(monkeypatch)
    times: list[float] = []

    @contextmanager
    def slow(rig: Any, fault: Fault) -> Iterator[None]:
        clock.wait(4)
        yield
        clock.wait(3)

    monkeypatch.setattr(module, "KINDS", {"slow": Kind(slow)})
    schedule = [Fault("slow", 1, lasts=2), Fault("slow", 5), Fault("slow", 6)]
    player = Player(object(), wait=clock.wait, began=lambda _: times.append(clock.now))  # type: ignore[arg-type]
    assert len(player.play(schedule, until=20)) == 2
    assert times == [1, 12]
    assert clock.now == 20


def test_a_schedule_without_end_is_played_until_a_time(
    happened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    endless = (Fault("fake", number, on=number) for number in count(1))
    assert len(Player(object(), wait=clock.wait).play(endless, until=3.5)) == 3  # type: ignore[arg-type]
    assert clock.now == 3.5
