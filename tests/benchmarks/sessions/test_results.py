"""Medians, spread and ratios."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.peers.figures import FIGURES
from benchmarks.sessions import results
from benchmarks.sessions.results import Figure, Summary, ratio, summary, title
from tests.benchmarks.peers.recorded import recorded


def figure(key: str) -> Figure:
    return next(each for each in FIGURES if each.key == key)


def test_a_summary_is_of_all_rounds_that_have_the_figure_in_its_unit() -> None:
    celery = recorded()["peers"]["celery"]
    assert summary(celery, figure("round_trip_p50")) == Summary(2.5, 2.0, 3.0)
    assert summary(celery, figure("submit_and_gather")) == Summary(600.0, 600.0, 600.0)
    assert summary(celery, figure("payload")) is None


def test_the_summary_of_an_extrapolated_figure_is_marked_as_extrapolated() -> None:
    found = summary(recorded()["peers"]["process_pool"], figure("shared_payload"))
    assert found is not None
    assert found.extrapolated


@pytest.mark.parametrize(
    ("key", "times"), [("round_trip_p50", 2.5 / 0.85), ("submit_and_gather", 200.0)]
)
def test_a_ratio_says_how_many_times_better_the_library_is(key: str, times: float) -> None:
    assert ratio(recorded(), "celery", figure(key)) == pytest.approx(times)


def test_there_is_no_ratio_if_the_library_or_the_peer_has_no_figure() -> None:
    run = recorded()
    assert ratio(run, "arq", figure("map")) is None
    del run["peers"]["distribute_challenge"]
    assert ratio(run, "celery", figure("map")) is None


def test_a_peer_without_a_title_goes_by_its_name() -> None:
    assert [title(recorded(), name) for name in ("celery", "arq")] == ["Celery", "arq"]


def test_a_saved_run_is_loaded_unchanged(tmp_path: Path) -> None:
    run = recorded()
    results.save(run, tmp_path / "run.json")
    assert results.load(tmp_path / "run.json") == run


def test_a_figure_that_is_not_compared_has_no_ratio() -> None:
    compared = figure("payload")
    assert ratio(recorded(), "bare_redis", compared) == pytest.approx(6.0)
    assert ratio(recorded(), "bare_redis", replace(compared, is_compared=False)) is None
