"""What counts as the limit."""

import pytest

from benchmarks.growth.limits import costs, limit
from tests.benchmarks.growth.recorded import figures


def test_costs_are_those_of_a_call() -> None:
    found = costs(figures(1_000, seconds=2.0, redis=0.5))
    assert found["client"] == pytest.approx(1_000)
    assert found["redis"] == pytest.approx(500)
    assert "others" not in found


@pytest.mark.parametrize(
    ("found", "text"),
    [
        pytest.param(figures(client=1.9), "a core: client", id="a busy process"),
        pytest.param(figures(redis=1.9), "a core: Redis", id="a busy server"),
        pytest.param(figures(), "no core: waiting for each other", id="nothing is busy"),
        pytest.param(
            figures(client=1.6, child=1.8),
            "all cores; with a core each: client, 6,250 calls/s",
            id="many busy processes",
        ),
        pytest.param(
            figures(others=3.0),
            "all cores; with a core each: client, 10,000 calls/s "
            "(other programs: 75% of the machine)",
            id="a machine that others use",
        ),
    ],
)
def test_the_limit_is_what_is_busy(found: dict[str, object], text: str) -> None:
    assert limit(found, in_flight=10) == text


def test_calls_one_by_one_wait_for_their_own_steps() -> None:
    assert limit(figures(client=1.9), in_flight=1) == "one call at a time: the steps of a call"
