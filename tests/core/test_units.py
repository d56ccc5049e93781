"""Numbers as people read them."""

import pytest

from distribute_challenge.core.units import (
    in_natural_order,
    memory,
    percent,
    rate,
    seconds,
    seconds_together,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.014, "0.01"),
        (9.996, "10.0"),
        (99.96, "100"),
        (999.6, "1,000"),
        (30123.4, "30,123"),
    ],
)
def test_a_rate_is_shown_with_three_digits_and_never_rounds_whole_digits(
    value: float, text: str
) -> None:
    assert rate(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.00 µs"),
        (2e-6, "2.00 µs"),
        (0.0009999, "1.00 ms"),
        (0.99996, "1.00 s"),
        (120.0, "120 s"),
        (None, "-"),
    ],
)
def test_a_duration_has_the_unit_that_fits(value: float | None, text: str) -> None:
    assert seconds(value) == text


def test_durations_side_by_side_share_a_unit() -> None:
    assert seconds_together([0.5, 2.0]) == "0.50 2.0 s"


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0 %"), (0.994, "99.4 %"), (0.9996, "100 %"), (1.02, "102 %")]
)
def test_nearly_all_is_not_all(share: float, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("size", "text"), [(999, "1.00 kB"), (48_600_000, "48.6 MB"), (2_000_000_000_000, "2.00 TB")]
)
def test_memory_has_the_unit_that_fits(size: int, text: str) -> None:
    assert memory(size) == text


def test_numbers_in_names_count_as_numbers() -> None:
    """Some names begin with a number, and some do not."""
    assert in_natural_order(["worker-10", "7a", "worker-9", ""]) == [
        "",
        "7a",
        "worker-9",
        "worker-10",
    ]
