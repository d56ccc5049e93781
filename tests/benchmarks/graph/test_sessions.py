"""Sessions in processes of their own, one for each measurement."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from benchmarks.graph.catalogue import CATALOGUE, chosen
from benchmarks.sessions.entry import OURS
from tests.benchmarks.graph.fakes import MEASURED, RUN
from tests.benchmarks.sessions.asking import TOP, answers


@pytest.fixture(scope="module")
def found() -> Any:
    """What the runner found. It runs in its own process, inherits orphans and kills leftovers."""
    done = subprocess.run(
        [sys.executable, *RUN], cwd=TOP, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_round_has_the_figures_of_all_its_sessions(found: Any) -> None:
    record = found["records"]["inline"]
    assert [{"chain", "rows"} <= figures.keys() for figures in record["rounds"]] == [True, True]
    assert record["errors"] == {}
    assert record["absent"] == {"nodes": "measured for the library alone"}


def test_a_measurement_that_fails_costs_no_other_and_is_not_taken_again(found: Any) -> None:
    record = found["records"]["failing"]
    assert record["errors"] == {
        "chain": "AssertionError: the graph returned 0, expected 30",
        "rows": "AssertionError: the graph returned 0, expected 40",
        "nodes": "the process died with exit code 7",
    }
    assert len(record["rounds"]) == 1


def test_systems_take_turns_within_each_measurement(found: Any) -> None:
    lines = [line.partition(":")[0] for line in found["said"]]
    assert lines == [
        *(f"round 1, {name}, {each}" for each in MEASURED for name in ("inline", "failing")),
        "round 2, inline, chain",
        "round 2, inline, rows",
    ]


def test_every_system_has_its_file() -> None:
    places = {entry.place.partition(":")[0] for entry in CATALOGUE.values()}
    assert [place for place in places if find_spec(place) is None] == []
    assert [entry.name for entry in chosen(["dask", "ray"])] == ["ray", "dask"]


@pytest.mark.celery
@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CATALOGUE if name.startswith(OURS)])
def test_the_library_offers_everything(tmp_path: Path, name: str) -> None:
    measured = ["tree", "long_chain", "fan_out", "arrays"]
    if name == OURS:
        measured.append("nodes")
    orders = [{"do": each, "quick": True} for each in measured]
    answered = answers("benchmarks.graph.session", name, 1, orders, tmp_path)
    assert [answer.get("error") for answer in answered] == [None] * (len(orders) + 2)
    assert answered[4]["figures"]["arrays_redis"] >= 0
    assert answered[0]["facts"]["documentation"] == "Calls that feed calls"
