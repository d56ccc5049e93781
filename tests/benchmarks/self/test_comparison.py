"""What counts as worse."""

import pytest

from benchmarks.self.comparison import Change, changes
from benchmarks.self.figure import Figure, Series
from tests.benchmarks.self.recorded import MEMORY, RATE, SECONDS, results


def change(figure: Figure, old: list[float], new: list[float]) -> Change:
    return Change(Series(figure, tuple(old)), Series(figure, tuple(new)))


@pytest.mark.parametrize(
    ("figure", "old", "new", "worse"),
    [
        pytest.param(SECONDS, [1.0], [1.2], True, id="slower"),
        pytest.param(SECONDS, [1.0], [0.5], False, id="faster"),
        pytest.param(SECONDS, [1.0], [1.09], False, id="slower by less than 10 %"),
        pytest.param(RATE, [1000.0], [800.0], True, id="fewer in a second"),
        pytest.param(RATE, [1000.0], [1300.0], False, id="more in a second"),
        pytest.param(
            SECONDS, [0.9, 1.0, 1.3], [1.2, 1.2, 1.2], False, id="within the spread of the old run"
        ),
        pytest.param(
            SECONDS, [1.0, 1.0, 1.0], [0.9, 1.2, 1.3], False, id="within the spread of the new run"
        ),
        pytest.param(MEMORY, [1.0], [3.0], False, id="a difference too small to mean something"),
        pytest.param(MEMORY, [0.0], [20.0], True, id="from nothing to something"),
    ],
)
def test_a_figure_is_worse_if_it_differs_by_more_than_a_tenth_and_more_than_chance(
    figure: Figure, old: list[float], new: list[float], worse: bool
) -> None:
    assert change(figure, old, new).is_worse is worse


def test_change_compares_medians() -> None:
    assert change(SECONDS, [1.0, 1.0, 50.0], [1.1, 1.1, 1.1]).percent == pytest.approx(10)


def test_a_change_from_zero_has_no_percentage() -> None:
    assert change(MEMORY, [0.0], [1.0]).percent is None


def test_figures_that_only_one_run_has_are_shown_without_a_verdict() -> None:
    old, new = results({SECONDS: [1.0], MEMORY: [1.0]}), results({RATE: [5.0], SECONDS: [1.0]})
    found = list(changes(old, new))
    assert [each.title for each in found] == ["`map`", "start to first result", "memory"]
    assert [each.percent for each in found] == [None, 0.0, None]
    assert not any(each.is_worse for each in found)
