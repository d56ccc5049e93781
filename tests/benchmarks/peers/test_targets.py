"""What was to be reached, and what was."""

from typing import Any

from benchmarks.peers.targets import OWN_MEASUREMENTS, TARGETS, as_markdown
from benchmarks.self.catalogue import CATALOGUE
from benchmarks.self.results import Results
from tests.benchmarks.peers.recorded import recorded


def row(run: dict[str, Any], start: str) -> list[str]:
    line = next(line for line in as_markdown(run).splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in line.split("|")[1:-1]]


def with_own(name: str, *values: dict[str, float]) -> dict[str, Any]:
    run = recorded()
    own = Results.from_json(run["self"])
    for each in values:
        own.add(CATALOGUE[name].figures, each)
    return {**run, "self": own.as_json()}


def test_a_target_is_reached_if_all_that_it_asks_for_is() -> None:
    run = recorded()
    assert row(run, "one call, round trip")[2:4] == [
        "0.85 ms; ×2.94 the next that crosses machines",
        "yes",
    ]
    assert row(run, "`submit` one by one")[2:4] == [
        "120,000 calls/s; ×12 ProcessPool; ×200 Celery",
        "yes",
    ]


def test_missing_one_of_them_is_missing_the_target() -> None:
    run = recorded()
    run["peers"]["celery"]["rounds"] = [{"round_trip_p50": 0.0007}]
    assert row(run, "one call, round trip")[3] == "**no**"
    assert row(recorded(), "script start")[2:4] == ["0.7 s", "**no**"]


def test_through_redis_a_payload_is_compared_with_bare_redis() -> None:
    assert row(recorded(), "32 MB array")[2:4] == ["50 ms; ×1.1 bare Redis over TCP", "yes"]


def test_the_best_peer_crosses_machines_and_a_better_one_of_one_machine_stands_behind() -> None:
    run = recorded()
    assert (
        row(run, "one call, round trip")[4]
        == "Celery 2.5 ms; ProcessPool 0.2 ms (one machine only)"
    )
    assert row(run, "`map`")[4] == "joblib 250,000 calls/s (one machine only)"
    run["peers"]["process_pool"]["rounds"] = [{"round_trip_p50": 0.2}]
    assert row(run, "one call, round trip")[4] == "Celery 2.5 ms"
    assert row(run, "the same 50 MB")[4] == "-"


def test_figures_of_the_library_alone_are_its_own_benchmarks() -> None:
    run = with_own("uneven", {"uneven_map": 10.1, "uneven_submit": 10.2})
    assert row(run, "one call of 10 s")[2:4] == ["`map` 10.1 s; `submit` 10.2 s", "yes"]
    run = with_own("uneven", {"uneven_map": 10.1, "uneven_submit": 11.2})
    assert row(run, "one call of 10 s")[3] == "**no**"


def test_a_target_without_all_measurements_is_shown_as_not_measured() -> None:
    run = recorded()
    assert row(run, "64 workers")[2:4] == ["-", "not measured"]
    del run["self"], run["peers"]["bare_redis"]
    assert row(run, "64 workers")[3] == "not measured"
    assert row(run, "32 MB array")[2:4] == ["50 ms", "not all measured"]
    run["peers"] = {}
    assert {row(run, target.what)[3] for target in TARGETS} == {"not measured"}


def test_all_of_its_own_figures_are_measured_by_a_run() -> None:
    assert set(OWN_MEASUREMENTS) <= set(CATALOGUE)
