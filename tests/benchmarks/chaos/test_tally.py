"""What is counted as what."""

import time

import pytest

from benchmarks.chaos import tally as module
from benchmarks.chaos.player import Played
from benchmarks.chaos.schedule import Fault
from benchmarks.chaos.tally import (
    AFTERWARDS,
    NO_FAULT,
    REMEMBERED,
    SHOWN,
    Tally,
)
from benchmarks.rig.calls import Ending, MistakeError, answer, right
from benchmarks.rig.diary import Entry
from distribute_challenge.errors import BrokerUnreachableError, TaskLostError, WorkerLostError

EMPTIED = Fault("redis emptied", 1.0)
KILLED = Fault("worker killed", 1.0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> "Clock":
    return Clock(monkeypatch)


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)


def ended(tally: Tally, call: str, ending: Ending, outcome: object) -> None:
    tally.begin(call, ending)
    tally.end(call, outcome)


def played(tally: Tally, fault: Fault, clock: Clock, lasts: float = 0.0) -> None:
    tally.fault_begins(fault)
    begun = clock.now
    clock.now += lasts
    tally.fault_ended(Played(fault, begun, clock.now))


def test_calls_that_end_as_they_are_to_end_are_neither_lost_nor_wrong() -> None:
    tally = Tally()
    ended(tally, "c-1", "value", answer("c-1"))
    ended(tally, "c-2", "raise", MistakeError("c-2"))
    ended(tally, "c-3", "exit", WorkerLostError("gone"))
    ended(tally, "c-4", "kill", WorkerLostError("gone"))
    ended(tally, "c-5", "large", right("c-5", "large"))
    assert (tally.calls, tally.values, tally.lost, tally.wrong) == (5, 2, 0, 0)
    assert tally.errors == {"MistakeError": 1, "WorkerLostError": 2}
    assert tally.open == {}


@pytest.mark.parametrize(
    ("ending", "outcome"),
    [
        ("value", answer("c-2")),
        ("value", None),
        ("large", answer("c-1")),
        ("raise", answer("c-1")),
        ("exit", answer("c-1")),
    ],
)
def test_an_unexpected_value_is_counted_as_wrong(ending: Ending, outcome: object) -> None:
    tally = Tally()
    ended(tally, "c-1", ending, outcome)
    assert (tally.values, tally.lost, tally.wrong) == (0, 0, 1)
    assert tally.examples == [f"c-1, which is to end in {ending}, gave {outcome!r}"]


@pytest.mark.parametrize(
    ("ending", "error"),
    [
        ("value", MistakeError("c-1")),
        ("raise", MistakeError("c-2")),
        ("raise", ValueError("c-1")),
        ("value", WorkerLostError("gone")),
        ("value", TaskLostError("gone")),
        ("exit", BrokerUnreachableError("gone")),
    ],
)
def test_an_error_without_a_fault_that_explains_it_is_a_lost_call(
    ending: Ending, error: Exception
) -> None:
    tally = Tally()
    ended(tally, "c-1", ending, error)
    assert (tally.values, tally.lost, tally.wrong) == (0, 1, 0)
    assert "c-1, which is to end in" in tally.examples[0]
    assert repr(error) in tally.examples[0]


def test_a_fault_excuses_errors_of_calls_in_flight_and_for_some_seconds_afterwards(
    clock: Clock,
) -> None:
    tally = Tally()
    tally.begin("before", "value")
    tally.fault_begins(EMPTIED)
    ended(tally, "while", "value", TaskLostError("gone"))
    clock.now += 1
    tally.fault_ended(Played(EMPTIED, clock.now - 1, clock.now))
    tally.end("before", TaskLostError("gone"))
    clock.now += AFTERWARDS
    ended(tally, "soon", "value", TaskLostError("gone"))
    assert tally.lost == 0
    ended(tally, "another", "value", WorkerLostError("gone"))
    assert tally.lost == 1
    clock.now += 0.1
    ended(tally, "late", "value", TaskLostError("gone"))
    assert tally.lost == 2


def test_recovery_is_the_longest_time_from_a_faults_end_to_the_next_value(clock: Clock) -> None:
    tally = Tally()
    for seconds in (2.0, 5.0, 1.0):
        played(tally, KILLED, clock, 3.0)
        tally.begin("c", "value")
        clock.now += seconds
        tally.end("c", answer("c"))
    ended(tally, "d", "value", answer("d"))
    assert tally.recovery == {"worker killed": 5.0}
    assert tally.made_good == {}
    assert tally.faults == {"worker killed": 3}


def test_the_recovery_of_a_fault_is_not_counted_if_another_fault_comes_first(clock: Clock) -> None:
    """Its calls may have waited for the end of that fault."""
    tally = Tally()
    played(tally, Fault("worker killed", 0.0), clock)
    clock.now += 1
    played(tally, Fault("redis killed", 0.0), clock, lasts=10.0)
    clock.now += 2
    ended(tally, "c-1", "value", answer("c-1"))
    assert tally.recovery == {"redis killed": 2.0}


def test_an_error_is_not_counted_as_recovery(clock: Clock) -> None:
    tally = Tally()
    played(tally, KILLED, clock)
    ended(tally, "c", "raise", MistakeError("c"))
    assert tally.recovery == {}


def test_made_good_is_the_time_until_a_call_that_met_one_fault_ends(clock: Clock) -> None:
    tally = Tally()
    tally.begin("c", "value")
    played(tally, KILLED, clock, 1.0)
    clock.now += 8
    tally.end("c", answer("c"))
    assert tally.made_good == {"worker killed": 8.0}
    # Of one that meets two faults the tally cannot know which of them it waited for.
    tally.begin("d", "value")
    played(tally, KILLED, clock)
    played(tally, EMPTIED, clock)
    clock.now += 20
    tally.end("d", answer("d"))
    assert tally.made_good == {"worker killed": 8.0}


def test_repeated_runs_of_a_call_are_attributed_to_the_preceding_fault(clock: Clock) -> None:
    tally = Tally()
    for call, ending in (("c-1", "value"), ("c-2", "exit")):
        tally.begin(call, ending)  # type: ignore[arg-type]
    for number in range(3):
        tally.ran(Entry("c-2", number, clock.now))  # As it kills its process.
    tally.ran(Entry("c-1", 1, clock.now))
    tally.ran(Entry("c-1", 2, clock.now))
    assert tally.run_twice == {NO_FAULT: 1}
    clock.now += 1
    played(tally, KILLED, clock)
    clock.now += 1
    tally.ran(Entry("c-1", 3, clock.now))
    tally.fault_begins(EMPTIED)
    tally.ran(Entry("c-1", 4, clock.now - 0.5))
    tally.ran(Entry("c-1", 5, clock.now))
    assert tally.run_twice == {NO_FAULT: 1, "worker killed": 2, "redis emptied": 1}


def test_repeated_runs_of_calls_of_other_clients_are_counted(clock: Clock) -> None:
    """A client that a fault kills makes some."""
    tally = Tally()
    tally.ran(Entry("c-1", 1, clock.now))
    tally.ran(Entry("c-1", 2, clock.now))
    assert tally.run_twice == {NO_FAULT: 1}


def test_faults_and_runs_from_long_ago_are_forgotten(clock: Clock) -> None:
    tally = Tally()
    for number in range(10):
        played(tally, KILLED, clock)
        tally.ran(Entry(f"c-{number}", 1, clock.now))
        clock.now += REMEMBERED / 2 + 1
    assert len(tally._played) == len(tally._runs) == 2


def test_only_the_first_lost_calls_are_kept_as_examples() -> None:
    tally = Tally()
    for number in range(2 * SHOWN):
        ended(tally, f"c-{number}", "value", KeyError(number))
    assert tally.lost == 2 * SHOWN
    assert len(tally.examples) == SHOWN


def test_calls_open_when_the_tally_is_closed_are_hung_and_later_outcomes_are_ignored() -> None:
    tally = Tally()
    before = time.monotonic()
    tally.begin("c-1", "value")
    assert before <= tally.open["c-1"] <= time.monotonic()
    assert tally.close() == ["c-1"]
    tally.end("c-1", KeyError())
    assert tally.lost == 0
    assert tally.open == {}
