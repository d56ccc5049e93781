"""Load and faults together, on a small cluster: what else can go wrong than calls."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from benchmarks.chaos import storm
from benchmarks.chaos.kinds import KINDS, workers
from benchmarks.chaos.schedule import Fault
from benchmarks.chaos.storm import Storm
from benchmarks.rig.rig import Rig

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storm, "LOOK_EVERY", 0.1)
    monkeypatch.setattr(storm, "SAY_EVERY", 1.0)


def scheduled(folder: Path, *faults: Fault, said: list[str] | None = None) -> Storm:
    raging = Storm(folder, seconds=5, seed=1, workers=1, say=([] if said is None else said).append)
    raging._schedule = faults
    return raging


def test_a_calm_storm_passes_and_says_how_it_goes(tmp_path: Path) -> None:
    said: list[str] = []
    raging = scheduled(
        tmp_path, Fault("client line slow", 1, lasts=1.2), Fault("client line cut", 9), said=said
    )
    result = raging.run()
    assert result.passed, result.text()
    assert result.tally.faults == {"client line slow": 1}
    assert result.tally.values > 10
    assert said[0].startswith("0 min: ")
    assert len(result.memory) == len(said) >= 2


def test_leaving_out_a_kind_of_fault_does_not_change_the_schedule_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def first_faults() -> list[Fault]:
        raging = Storm(
            tmp_path, seconds=5, seed=1, workers=1, kinds=["worker line cut", "client line cut"]
        )
        return list(islice(raging._schedule, 20))

    both = first_faults()
    monkeypatch.setitem(
        KINDS, "worker line cut", replace(KINDS["worker line cut"], lacks=lambda: "a line")
    )
    one = [fault for fault in both if fault.kind == "client line cut"]
    assert 0 < len(one) < 20
    assert first_faults()[: len(one)] == one


def test_a_worker_that_ends_by_itself_is_noticed_and_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Rig.start

    def start_badly(rig: Rig) -> None:
        start(rig)
        rig.workers[0].kill()

    monkeypatch.setattr(Rig, "start", start_badly)
    result = scheduled(tmp_path, Fault("client line cut", 0.5)).run()
    assert result.problems == [
        "worker w1 had ended by itself (exit code -9) before client line cut at 0.5 s"
    ]
    assert not result.passed
    assert result.tally.values


def test_a_worker_that_does_not_end_in_time_ends_the_storm_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storm, "HANGS_AFTER", 0.5)
    monkeypatch.setattr(workers, "END_WITHIN", 0.0)
    result = scheduled(tmp_path, Fault("worker ended", 0.5)).run()
    (problem,) = result.problems
    assert "the storm ended early, with worker ended at 0.5 s" in problem
    assert "it did not end within 0 s" in problem
    assert result.hung
