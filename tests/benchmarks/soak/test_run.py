"""What is said of a soak, and wrong values of its calls."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.soak import run
from benchmarks.soak.growth import Sample
from benchmarks.soak.run import Result, soak_cluster
from distribute_challenge.benchmarking.clusters.local import LocalWorkers
from distribute_challenge.errors import SystemFailureError

pytestmark = pytest.mark.celery

FLAT = Result(
    calls=1000,
    seconds=100.0,
    bound=5e6,
    samples=[
        Sample(calls, calls / 10, {"client": 50_000_000, "redis": 8_000_000})
        for calls in range(0, 1001, 10)
    ],
    keys=[
        ("distribute_challenge:workers", "hash", -1),
        ("distribute_challenge:function:a", "string", 60),
    ],
)


def growing(megabytes: int) -> list[Sample]:
    return [
        replace(each, memory={"client": each.calls * megabytes * 1000}) for each in FLAT.samples
    ]


def test_flat_memory_passes_and_is_shown_in_a_few_rows() -> None:
    assert FLAT.passed
    lines = FLAT.text().splitlines()
    assert lines[2].split() == ["seconds", "calls", "client", "redis"]
    assert ["100", "1,000", "50.0", "8.0"] in [line.split() for line in lines]
    assert ["growth", "0.0", "0.0"] in [line.split() for line in lines]
    assert len(lines) < run.ROWS + 15
    assert "  'distribute_challenge:workers' (hash, stays)" in lines
    assert "  'distribute_challenge:function:a' (string, 60 s to live)" in lines
    assert lines[-1] == "passed"


def test_growth_beyond_the_bound_fails() -> None:
    grown = replace(FLAT, samples=growing(100))
    assert not grown.passed
    assert "grown by more than 5.0 MB: client" in grown.text()
    assert replace(FLAT, samples=growing(5)).passed


def test_a_key_that_is_not_documented_fails() -> None:
    left = replace(FLAT, keys=[("what", "list", -1)])
    assert not left.passed
    assert "not documented:\n  'what'\n\nFAILED" in left.text()


def test_a_soak_with_too_few_samples_fails() -> None:
    short = replace(FLAT, samples=[Sample(0, 0.0, {"client": 1}), Sample(1000, 1.0, {"redis": 1})])
    assert not short.passed
    assert "too few samples" in short.text()
    assert ["growth", "-", "-"] in [line.split() for line in short.text().splitlines()]


def test_the_saved_file_has_outcome_growth_and_samples(tmp_path: Path) -> None:
    FLAT.save(tmp_path / "soak.json")
    found = json.loads((tmp_path / "soak.json").read_text())
    assert found["passed"] is True
    assert found["growth"] == {"client": 0, "redis": 0}
    assert len(found["samples"]) == 101


@pytest.mark.slow
def test_wrong_values_end_the_soak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_by_submit", lambda backend, numbers: 1)
    with pytest.raises(SystemFailureError, match="calls 10 to 20 gave wrong values"):
        soak_cluster(LocalWorkers(), calls=20, workers=1, every=0.1, bound=1e6)
