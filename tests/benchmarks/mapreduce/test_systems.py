"""The benchmark of map-reduce, on little work."""

from pathlib import Path

import pytest

from benchmarks.mapreduce import numbers, words
from benchmarks.mapreduce.benchmark import MAP_REDUCE
from benchmarks.sessions.entry import OURS
from benchmarks.sessions.memory import RESET
from tests.benchmarks.sessions.asking import figure


@pytest.mark.celery
@pytest.mark.slow
@pytest.mark.parametrize("system", words.SYSTEMS)
def test_each_system_counts_all_words(system: str, tmp_path: Path) -> None:
    """It fails if any are missing."""
    assert figure(MAP_REDUCE, "words", system, tmp_path, 0.03) > 0


@pytest.mark.celery
@pytest.mark.slow
@pytest.mark.parametrize("system", numbers.SYSTEMS)
def test_each_system_sorts_all_numbers(system: str, tmp_path: Path) -> None:
    assert figure(MAP_REDUCE, "sort", system, tmp_path, 0.1) > 0


@pytest.mark.celery
@pytest.mark.slow
@pytest.mark.skipif(not RESET.exists(), reason="the kernel does not tell the peak")
def test_the_memory_of_the_client_is_told_in_megabytes(tmp_path: Path) -> None:
    assert 10 < figure(MAP_REDUCE, "keys", OURS, tmp_path, 0.01) < 1000


@pytest.mark.celery
@pytest.mark.slow
@pytest.mark.parametrize("name", ["key_cpu", "sorted_key_cpu"])
def test_the_time_of_the_client_is_told_for_each_key(name: str, tmp_path: Path) -> None:
    assert 0 < figure(MAP_REDUCE, name, OURS, tmp_path, 0.1) < 1e-3


def test_a_system_that_does_not_sort_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers, "NUMBERS", 10)
    monkeypatch.setitem(numbers.SYSTEMS, "one process", lambda *_: (1.0, []))
    with pytest.raises(AssertionError, match="one process has not sorted the numbers"):
        numbers.sort("one process", workers=1, scale=0.1)


def test_a_system_that_loses_words_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "FILE_BYTES", 10_000)
    monkeypatch.setitem(words.SYSTEMS, "one process", lambda *_: (1.0, {"word": 1}))
    with pytest.raises(AssertionError, match="one process counted 1 words, expected"):
        words.words("one process", workers=1, scale=0.01)


def test_every_measurement_has_a_target() -> None:
    targets = " ".join(target.what for target in MAP_REDUCE.benchmark.targets)
    assert all(word in targets for word in ("100 MB", "1 GB", "keys", "sorted"))
    without = {"key_cpu", "sorted_key_cpu"}
    assert len(MAP_REDUCE.benchmark.targets) == len(MAP_REDUCE.measurements) - len(without)
