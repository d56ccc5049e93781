"""The benchmark of map-reduce, on one small file."""

import pytest

from benchmarks import mapreduce
from benchmarks.mapreduce import MEASUREMENTS


@pytest.mark.celery
@pytest.mark.slow
@pytest.mark.parametrize("system", MEASUREMENTS["words"].systems)
def test_each_system_counts_all_words(monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    """It ends with an error if any are missing."""
    monkeypatch.setattr(mapreduce, "FILE_BYTES", 10_000)
    assert mapreduce.words(system, workers=2, scale=0.03) > 0


@pytest.mark.celery
@pytest.mark.slow
@pytest.mark.parametrize("system", MEASUREMENTS["sort"].systems)
def test_each_system_sorts_all_numbers(monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    monkeypatch.setattr(mapreduce, "NUMBERS", 10_000)
    assert mapreduce.sort(system, workers=2, scale=0.3) > 0


def test_a_system_that_does_not_sort_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapreduce, "NUMBERS", 10)
    monkeypatch.setitem(mapreduce.SORTS, "one process", lambda *_: (1.0, []))
    with pytest.raises(SystemExit, match="one process has not sorted the numbers"):
        mapreduce.sort("one process", workers=1, scale=0.1)


def test_a_system_that_loses_words_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapreduce, "FILE_BYTES", 10_000)
    monkeypatch.setitem(mapreduce.WORDS, "one process", lambda *_: (1.0, {"word": 1}))
    with pytest.raises(SystemExit, match="one process counted 1 words, expected"):
        mapreduce.words("one process", workers=1, scale=0.01)
