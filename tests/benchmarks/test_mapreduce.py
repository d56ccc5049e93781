"""The benchmark of map-reduce, on little work."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import mapreduce
from benchmarks.mapreduce import MEASUREMENTS

TOP = Path(__file__).parents[2]


def check(measurement: str, system: str, scale: float) -> None:
    """Measure a system in a process of its own: some fork, which harms a process with threads."""
    options = ["--only", measurement, "--on", system, "--workers", "2", "--scale", str(scale)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.mapreduce", *options],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.splitlines()[-1]) > 0


@pytest.mark.celery
@pytest.mark.slow
@pytest.mark.parametrize("system", MEASUREMENTS["words"].systems)
def test_each_system_counts_all_words(system: str) -> None:
    """It ends with an error if any are missing."""
    check("words", system, 0.03)


@pytest.mark.celery
@pytest.mark.slow
@pytest.mark.parametrize("system", MEASUREMENTS["sort"].systems)
def test_each_system_sorts_all_numbers(system: str) -> None:
    check("sort", system, 0.1)


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
