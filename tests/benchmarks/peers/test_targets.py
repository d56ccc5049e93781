"""What was to be reached, and what was."""

from typing import Any

from benchmarks.peers.benchmark import BENCHMARK
from benchmarks.peers.targets import OWN_MEASUREMENTS, TARGETS
from benchmarks.self.catalogue import CATALOGUE
from benchmarks.self.results import Results
from tests.benchmarks.peers.recorded import record, recorded


def row(run: dict[str, Any], start: str) -> list[str]:
    table = BENCHMARK.targets_as_markdown(run).splitlines()
    line = next(line for line in table if line.startswith(f"| {start}"))
    return [cell.strip() for cell in line.split("|")[1:-1]]


def with_own(name: str, *values: dict[str, float]) -> dict[str, Any]:
    run = recorded()
    own = Results.from_json(run["self"])
    for each in values:
        own.add(CATALOGUE[name].figures, each)
    return {**run, "self": own.as_json()}


def with_huey(milliseconds: float) -> dict[str, Any]:
    run = recorded()
    run["peers"]["huey"] = record("Huey", {"round_trip_p50": milliseconds / 1000})
    run["peers"]["bare_redis"]["rounds"] = [{"round_trip_p50": 0.0005, "payload": 0.3}]
    return run


def test_a_target_is_reached_if_all_that_it_asks_for_is() -> None:
    assert row(with_huey(1.7), "one call, round trip")[2:4] == [
        "0.5 × Huey; 1.7 × bare Redis; ×2 the next that crosses machines",
        "yes",
    ]
    assert row(recorded(), "`submit` one by one")[2:4] == ["×12 ProcessPool; ×200 Celery", "yes"]


def test_missing_one_of_them_is_missing_the_target_and_it_says_why() -> None:
    cells = row(with_huey(1.0), "one call, round trip")
    assert cells[2].startswith("0.85 × Huey; ")
    assert cells[3].startswith("**no**: calls are signed")


def test_a_missed_condition_counts_although_others_were_not_measured() -> None:
    run = recorded()
    assert row(run, "`map`")[2:4] == ["×4.4 joblib", "**no**"]
    run["peers"]["joblib"]["rounds"] = [{"map": 100_000.0}]
    assert row(run, "`map`")[2:4] == ["×11 joblib", "not all measured"]


def test_through_redis_a_payload_is_compared_with_bare_redis() -> None:
    run = recorded()
    run["peers"]["ray"] = record("Ray", {"payload": 0.1})
    assert row(run, "32 MB array")[2:4] == ["0.5 × Ray; ×1.1 bare Redis over TCP", "yes"]


def test_the_best_peer_is_one_for_several_machines_and_a_faster_local_one_is_added() -> None:
    run = recorded()
    assert (
        row(run, "one call, round trip")[4]
        == "Celery 2.5 ms; ProcessPool 0.2 ms (one machine only)"
    )
    assert row(run, "`map`")[4] == "joblib 250,000 calls/s (one machine only)"
    run["peers"]["process_pool"]["rounds"] = [{"round_trip_p50": 0.2}]
    assert row(run, "one call, round trip")[4] == "Celery 2.5 ms"
    assert row(run, "the same 50 MB")[4] == "-"


def test_targets_of_the_library_alone_use_its_own_benchmarks() -> None:
    run = with_own("uneven", {"uneven_map": 10.1, "uneven_submit": 10.2})
    assert row(run, "one call of 10 s")[2:4] == ["`map` 10.1 s; `submit` 10.2 s", "yes"]
    run = with_own("uneven", {"uneven_map": 10.1, "uneven_submit": 11.2})
    assert row(run, "one call of 10 s")[3] == "**no**"


def test_a_target_without_all_measurements_is_shown_as_not_measured() -> None:
    run = recorded()
    assert row(run, "64 workers")[2:4] == ["-", "not measured"]
    del run["self"], run["peers"]["bare_redis"]
    assert row(run, "64 workers")[3] == "not measured"
    assert row(run, "32 MB array")[2:4] == ["-", "not measured"]
    run["peers"] = {}
    assert {row(run, target.what)[3] for target in TARGETS} == {"not measured"}


def test_every_own_measurement_of_the_targets_is_in_the_catalogue() -> None:
    assert set(OWN_MEASUREMENTS) <= set(CATALOGUE)
