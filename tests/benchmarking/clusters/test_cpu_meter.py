"""From processor time to cores."""

import pytest

from distribute_challenge.benchmarking.clusters.cpu_meter import CpuMeter


def test_the_first_reading_averages_since_birth_and_later_ones_since_the_last() -> None:
    meter = CpuMeter()
    assert meter.cores("a", time=10.0, total=4.0, born=2.0) == 0.5
    assert meter.cores("b", time=10.0, total=1.0, born=9.0) == 1.0
    assert meter.cores("a", time=12.0, total=6.0, born=2.0) == 1.0


def test_a_cpu_total_that_starts_again_counts_from_zero() -> None:
    meter = CpuMeter()
    meter.cores("a", time=10.0, total=4.0, born=2.0)
    assert meter.cores("a", time=12.0, total=0.5, born=2.0) == 0.25


@pytest.mark.parametrize("time", [10.0, 10.05, 9.0])
def test_a_reading_too_soon_after_the_last_repeats_its_value(time: float) -> None:
    meter = CpuMeter()
    meter.cores("a", time=10.0, total=4.0, born=2.0)
    assert meter.cores("a", time=time, total=4.0, born=2.0) == 0.5
    assert meter.cores("a", time=14.0, total=6.0, born=2.0) == 0.5
