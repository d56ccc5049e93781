"""Which measurements there are."""

from collections import Counter

import pytest

from benchmarks.self.catalogue import CATALOGUE, chosen


def test_every_measurement_has_its_function() -> None:
    assert all(callable(measurement.load()) for measurement in CATALOGUE.values())


def test_no_two_figures_have_the_same_name_or_title() -> None:
    figures = [figure for measurement in CATALOGUE.values() for figure in measurement.figures]
    assert Counter(figure.name for figure in figures).most_common(1)[0][1] == 1
    # The ratio to the idle round trip stands below the milliseconds of the same thing.
    titles = Counter((figure.title, figure.unit) for figure in figures)
    assert titles.most_common(1)[0][1] == 1


def test_quick_leaves_out_long_measurements_unless_they_are_named() -> None:
    assert "many_workers" not in {each.name for each in chosen([], quick=True)}
    assert [each.name for each in chosen(["many_workers", "import"], quick=True)] == [
        "import",
        "many_workers",
    ]
    assert len(chosen([])) == len(CATALOGUE)


def test_an_unknown_measurement_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(KeyError, match="no measurement is called speed; there are import, start"):
        chosen(["speed"])
