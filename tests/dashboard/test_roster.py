"""The workers that are shown, and those that are gone."""

from distribute_challenge.dashboard import roster as module
from distribute_challenge.dashboard.roster import Roster
from tests.dashboard.reports import NOW, present, process, worker


def states(roster: Roster, now: float = NOW) -> dict[str, str]:
    return {row.name: row.state for row in roster.rows({}, now)}


def test_a_worker_that_was_killed_is_silent_and_then_lost() -> None:
    """It leaves its presence behind, which gets old; one that ends in order takes it back."""
    roster = Roster()
    roster.update([present("killed"), present("ending")], NOW)
    assert states(roster) == {"ending": "here", "killed": "here"}
    roster.update([present("killed", age=7)], NOW)
    assert states(roster) == {"killed": "silent", "ending": "ended"}
    roster.update([], NOW + 8)
    assert states(roster, NOW + 8) == {"killed": "lost", "ending": "ended"}


def test_a_worker_gone_between_late_looks_is_lost_if_its_presence_was_too_old() -> None:
    """What has gone between two looks was lost only if its presence would be too old by now."""
    roster = Roster()
    roster.update([present("w", age=1)], NOW)
    roster.update([], NOW + 13.9)
    assert states(roster) == {"w": "ended"}
    roster.update([present("w", age=1)], NOW)
    roster.update([], NOW + 14)
    assert states(roster) == {"w": "lost"}


def test_silent_workers_come_first() -> None:
    roster = Roster()
    roster.update([present("a"), present("b", age=8), present("c")], NOW)
    assert list(states(roster)) == ["b", "a", "c"]


def test_a_worker_that_comes_back_is_shown_once() -> None:
    roster = Roster()
    for present_now in ([present("w", age=9)], [], [present("w")]):
        roster.update(present_now, NOW)
    assert states(roster) == {"w": "here"}


def test_ended_workers_are_shown_for_a_limited_time_and_up_to_a_number() -> None:
    """Of many, the latest are."""
    roster = Roster()
    roster.update([present(f"w{n:02}") for n in range(module.MOST_GONE + 3)], NOW)
    roster.update([], NOW)
    assert list(states(roster)) == [f"w{n:02}" for n in range(3, module.MOST_GONE + 3)]
    roster.update([], NOW + module.SHOWN_FOR)
    assert states(roster) == {}


def test_a_row_has_what_the_worker_reports() -> None:
    roster = Roster()
    roster.update([present("w", age=-0.1)], NOW)
    (silent,) = roster.rows({}, NOW)
    assert (silent.busy, silent.memory, silent.memory_limit) == (None, None, None)
    (row,) = roster.rows({"w": worker(processes=[process(1, "square"), process(2)])}, NOW)
    assert (row.busy, row.processes, row.memory, row.memory_limit) == (1, 2, 200, 1000)
    assert row.age == 0.0
