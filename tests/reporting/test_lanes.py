"""When each worker ran what, in bounded memory."""

import pytest

from distribute_challenge.reporting import lanes
from distribute_challenge.reporting.figures import OTHERS
from distribute_challenge.reporting.lanes import MOST_WORKERS, OTHER_WORKERS, Bar, Lanes

EPOCH = 1.8e9


def bar(start: float, end: float, worker: str = "w", function: str = "f", failed: int = 0) -> Bar:
    return Bar(worker, EPOCH + start, EPOCH + end, function, 1, failed)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that tests reach soon."""
    monkeypatch.setattr(lanes, "MOST_BARS", 100)
    monkeypatch.setattr(lanes, "MOST_CELLS", 400)


def test_few_calls_have_exact_bars() -> None:
    found = Lanes()
    bars = [bar(number, number + 0.5) for number in range(100)]
    for each in bars:
        found.add(each)
    assert list(found.bars()) == bars
    assert (found.busy["w"], found.calls["w"], found.width) == (50.0, 100, 0.0)


def test_many_calls_become_cells_that_lose_no_time_and_no_call() -> None:
    found = Lanes()
    for number in range(3000):
        found.add(bar(number / 10, number / 10 + 0.05, failed=number % 3 == 0))
    cells = list(found.bars())
    assert len(cells) <= 400
    assert sum(each.calls for each in cells) == 3000
    assert sum(each.failed for each in cells) == 1000
    assert sum(each.busy * (each.end - each.start) for each in cells) == pytest.approx(
        150, rel=0.01
    )
    assert min(each.start for each in cells) <= EPOCH
    assert max(each.end for each in cells) >= EPOCH + 299.95
    assert found.calls["w"] == 3000


def test_cells_distinguish_only_the_functions_with_the_most_time() -> None:
    found = Lanes()
    for number in range(101):
        name = f"f{number % 20}"
        found.add(bar(number, number + (1.0 if number % 20 < 5 else 0.1), function=name))
    assert {each.function for each in found.bars()} == {"f0", "f1", "f2", "f3", "f4", OTHERS}


def test_a_clock_far_off_costs_no_memory_and_one_that_goes_back_no_time() -> None:
    found = Lanes()
    for number in range(200):
        found.add(bar(number / 1e6, number / 1e6 - 1))
    found.add(bar(0, 40_000_000))
    found.add(bar(-40_000_000, -39_999_999))
    assert len(list(found.bars())) <= 400
    assert found.busy["w"] == 40_000_001


def test_workers_beyond_a_number_share_a_lane() -> None:
    found = Lanes()
    for number in range(MOST_WORKERS + 10):
        found.add(bar(0, 1, worker=f"w{number}"))
    assert len(found.busy) == MOST_WORKERS + 1
    assert found.calls[OTHER_WORKERS] == 10
