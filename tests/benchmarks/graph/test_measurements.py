"""The figures of a system that computes where it is asked to."""

from typing import Any

import pytest

from benchmarks.graph.figures import FIGURES
from benchmarks.graph.measurements import MEASUREMENTS, chosen
from benchmarks.sessions.services import Services
from tests.benchmarks.graph.fakes import Inline


class Whole(Inline):
    """Offers everything."""

    def chains_at_once(self, chains: int, calls: int) -> int:
        return sum(number + calls for number in range(chains))


class Wrong(Inline):
    """Adds 1 too much."""

    def submit(self, function: str, *arguments: Any) -> Any:
        return super().submit(function, *arguments) + 1

    def chain_at_once(self, calls: int) -> int:
        return calls + 1

    def chains_at_once(self, chains: int, calls: int) -> int:
        return 0


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_each_measurement_yields_its_rows_of_the_table(name: str) -> None:
    figures = MEASUREMENTS[name].figures(Whole(Services()), quick=True)
    assert set(figures) | {"arrays_redis"} == {
        figure.key for figure in FIGURES if figure.measurement == name
    } | {"arrays_redis"}
    assert all(figure >= 0 for figure in figures.values())


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_a_wrong_result_is_an_error(name: str) -> None:
    with pytest.raises(AssertionError, match=r"the graph returned .*, expected"):
        MEASUREMENTS[name].figures(Wrong(Services()), quick=True)


def test_a_measurement_has_the_size_of_its_target_and_a_smaller_one_when_quick() -> None:
    sizes: list[int] = []

    class Counting(Inline):
        def chain_at_once(self, calls: int) -> int:
            sizes.append(calls)
            return calls

    MEASUREMENTS["long_chain"].figures(Counting(Services()), quick=False)
    assert set(sizes) == {30, 10_000}
    sizes.clear()
    MEASUREMENTS["long_chain"].figures(Counting(Services()), quick=True)
    assert set(sizes) == {30}


def test_chosen_measurements_are_in_the_order_of_the_tables() -> None:
    assert [each.name for each in chosen(["rows", "tree"])] == ["tree", "rows"]
    assert len(chosen([])) == len(MEASUREMENTS)
    with pytest.raises(KeyError, match="no measurement is called forest; there are tree"):
        chosen(["forest"])
