"""Numbers that do not grow with the number of calls."""

import pytest

from distribute_challenge.reporting.figures import (
    MOST_FUNCTIONS,
    OTHERS,
    Durations,
    FunctionTable,
    Sizes,
)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0, 1000.0])
def test_percentiles_are_known_within_two_percent(scale: float) -> None:
    durations = Durations()
    for number in range(1, 1001):
        durations.add(number * scale)
    for share in (0.5, 0.95, 1.0):
        assert durations.percentile(share) == pytest.approx(1000 * share * scale, rel=0.02)
    assert durations.mean == pytest.approx(500.5 * scale)
    assert durations.longest == 1000 * scale
    assert len(durations._classes) < 1400


def test_durations_count_each_call_of_a_message() -> None:
    durations = Durations()
    durations.add(1.0, 99)
    durations.add(5.0)
    assert (durations.count, durations.total, durations.longest) == (100, 104.0, 5.0)
    assert durations.percentile(0.95) == pytest.approx(1.0, rel=0.02)


def test_a_clock_that_goes_back_makes_no_negative_duration() -> None:
    durations = Durations()
    durations.add(-1.0)
    durations.add(0.0)
    assert durations.total == durations.percentile(0.95) == 0.0


def test_sizes_have_a_sum_and_a_largest() -> None:
    sizes = Sizes()
    sizes.add(10, 3)
    sizes.add(1, 1)
    assert sizes == Sizes(4, 31, 10)


def test_functions_beyond_a_number_share_a_row() -> None:
    table = FunctionTable()
    for number in range(MOST_FUNCTIONS + 10):
        table.of(f"f{number}").calls += 1
    assert len(table) == MOST_FUNCTIONS + 1
    assert table[OTHERS].calls == 10
    assert table.of("f0") is table["f0"]
