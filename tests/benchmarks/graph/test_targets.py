"""What was to be reached, and what was."""

from typing import Any

from benchmarks.graph.benchmark import BENCHMARK
from benchmarks.graph.targets import TARGETS
from tests.benchmarks.graph.recorded import recorded


def row(run: dict[str, Any], start: str) -> list[str]:
    table = BENCHMARK.targets_as_markdown(run).splitlines()
    line = next(line for line in table if line.startswith(f"| {start}"))
    return [cell.strip() for cell in line.split("|")[1:-1]]


def test_a_target_is_reached_if_all_its_conditions_are_met() -> None:
    assert row(recorded(), "tree")[2:] == [
        "×51.7 Ray; ×310 Dask distributed",
        "yes",
        "Ray 600 tasks/s",
    ]
    assert row(recorded(), "a million")[2:4] == ["1.2 kB", "yes"]


def test_a_target_is_missed_if_one_of_its_conditions_is_not_met() -> None:
    run = recorded()
    assert row(run, "50 arrays")[2:4] == ["client 4 MB; over TCP 60 MB; Redis 0 MB", "**no**"]
    run["peers"]["distribute_challenge_tcp"]["rounds"] = [{"arrays_client": 6.0}]
    assert row(run, "50 arrays")[3] == "yes"


def test_a_total_is_to_cost_no_more_than_a_tenth() -> None:
    run = recorded()
    # Dask has failed.
    assert row(run, "10,000 calls")[2:4] == ["×22.2 Ray; ×0.952 `submit` alone", "not all measured"]
    run["peers"]["dask"]["rounds"] = [{"fan_out": 10.0}]
    assert row(run, "10,000 calls")[3] == "yes"
    for each in run["peers"]["distribute_challenge"]["rounds"]:
        each["fan_out_alone"] = 40_000.0
    assert row(run, "10,000 calls")[3] == "**no**"


def test_a_target_without_measurements_is_shown_as_not_measured() -> None:
    run = recorded()
    run["peers"] = {}
    assert {row(run, target.what)[3] for target in TARGETS} == {"not measured"}
