"""The life of a call in five times."""

import dataclasses
import pickle

import pytest

from distribute_challenge.core.timeline import Timeline

TIMELINE = Timeline(created=1.0, sent=2.0, started=4.0, finished=7.0, received=7.5, worker="w@h/1")


def test_the_stages_add_up_to_the_whole() -> None:
    """Waiting, running and returning leave no gap between creation and reply."""
    assert (
        TIMELINE.waiting + TIMELINE.running + TIMELINE.returning
        == TIMELINE.received - TIMELINE.created
    )


def test_each_stage_is_the_difference_of_its_ends() -> None:
    """It is in seconds."""
    assert (TIMELINE.waiting, TIMELINE.running, TIMELINE.returning) == (3.0, 3.0, 0.5)


def test_a_timeline_cannot_be_changed() -> None:
    """It is a record of what was."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        TIMELINE.sent = 0.0  # type: ignore[misc]


def test_a_timeline_shows_durations_in_units_that_people_read() -> None:
    """By two clocks, one of them may be negative."""
    late = dataclasses.replace(TIMELINE, received=6.9988)
    assert repr(late) == (
        "Timeline(waiting 3.00 s, running 3.00 s, returning -1.20 ms, worker w@h/1)"
    )


def test_a_timeline_can_be_pickled() -> None:
    """Benchmarks collect them from other processes."""
    assert pickle.loads(pickle.dumps(TIMELINE)) == TIMELINE
