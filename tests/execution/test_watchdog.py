"""A batch and the thread beside it: which of them gives back calls, and which begins them."""

import threading

import pytest

from distribute_challenge.execution import watchdog
from distribute_challenge.execution.watchdog import Progress, Watchdog
from tests.processes import PATIENCE, wait_until


class Sent:
    """Notes what is given back."""

    def __init__(self, *, with_outcomes: bool = True) -> None:
        self.kept: list[int] = []
        self._with_outcomes = with_outcomes

    def __call__(self, progress: Progress, kept: int) -> bool:
        self.kept.append(kept)
        return self._with_outcomes


def test_calls_behind_the_one_that_runs_are_given_back_once() -> None:
    """The running thread ends after that one."""
    sent = Sent()
    progress = Progress(10, 0.0)
    progress.outcomes.extend([1, 2, 3])
    assert progress.is_overdue()
    progress.give_back(sent)
    progress.give_back(sent)
    assert sent.kept == [4]
    assert not progress.is_over()
    progress.outcomes.append(4)
    assert progress.is_over()
    assert progress.end() == (3, [4])


def test_outcomes_that_were_not_sent_ahead_are_sent_at_the_end() -> None:
    progress = Progress(10, 0.0)
    progress.outcomes.append(1)
    progress.give_back(Sent(with_outcomes=False))
    progress.outcomes.append(2)
    assert progress.end() == (0, [1, 2])


def test_take_returns_each_outcome_only_once() -> None:
    progress = Progress(10, PATIENCE)
    progress.outcomes.extend([1, 2])
    assert progress.take() == (0, [1, 2])
    progress.outcomes.append(3)
    assert progress.take() == (2, [3])
    assert progress.end() == (3, [])
    assert not progress.is_overdue()


@pytest.mark.parametrize("done", [9, 10])
def test_the_last_call_of_a_batch_gives_nothing_back(done: int) -> None:
    sent = Sent()
    progress = Progress(10, 0.0)
    progress.outcomes.extend(range(done))
    progress.give_back(sent)
    assert sent.kept == []


def test_a_batch_that_has_ended_gives_nothing_back() -> None:
    """The running thread begins no more. Its last reply gives back what it did not begin."""
    sent = Sent()
    progress = Progress(10, 0.0)
    assert progress.is_over()
    progress.give_back(sent)
    assert sent.kept == []


def test_the_thread_looks_at_one_batch_after_the_other_and_rests_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It wakes up for the next."""
    monkeypatch.setattr(watchdog, "LOOK_EVERY", 0.001)
    watcher = Watchdog()
    for _ in range(3):
        sent = Sent()
        with watcher.looking_at(Progress(2, 0.01), sent):
            wait_until(lambda sent=sent: sent.kept == [1])  # type: ignore[misc] # bound now
        wait_until(lambda: not watcher._wanted.is_set(), "rest")
    assert [thread.name for thread in threading.enumerate()].count(
        "distribute_challenge watchdog"
    ) >= 1


def test_a_batch_that_begins_while_the_thread_goes_to_rest_wakes_the_thread() -> None:
    watcher = Watchdog()
    watcher._current = Progress(2, 0.0), Sent()
    watcher._rest()
    assert watcher._wanted.is_set()
