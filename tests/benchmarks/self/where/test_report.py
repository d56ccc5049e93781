"""What is printed of where the time goes, and what the command does with it."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.self import __main__ as command
from benchmarks.self.measurement import Measurement
from benchmarks.self.results import Results
from benchmarks.self.where.catalogue import KINDS, TIMELINE, chosen, figure_of
from benchmarks.self.where.report import breakdown_as_markdown
from benchmarks.self.where.stages import SPANS, STAGES
from tests.benchmarks.self.recorded import results

COSTS = {
    **{f"process.{kind}.cpu": 20.0 for kind in KINDS},
    "process.main.waits": 1.5,
    "command.lpush.calls": 1.0,
    "command.lpush.time": 4.5,
    "command.time.calls": 0.001,
    "command.time.time": 0.002,
    "redis.received": 5540.0,
    "redis.sent": 2260.0,
}
ROUND_TRIP = {
    "whole": 200.0,
    "typical": 210.0,
    "unmarked": 190.0,
    "marked": 0.995,
    **{f"stage.{stage.name}.wall": 10.0 for stage in STAGES},
    **{f"stage.{stage.name}.typical": 10.5 for stage in STAGES},
    "stage.pickled.cpu": 9.0,
    **{f"span.{span.name}.cpu": 1.0 for span in SPANS},
    **{f"in_stages.{role}.cpu": 5.0 for role in ("client", "main", "child")},
    **{f"marked.process.{role}.cpu": 21.0 for role in KINDS},
    **{f"timeline.{part}": 3.0 for part in TIMELINE},
    **COSTS,
}


def recorded(name: str, values: dict[str, float], **options: object) -> Results:
    named = {f"{name}.{key}": value for key, value in values.items()}
    return results({figure_of(key): [value] for key, value in named.items()}, **options)


def test_a_round_trip_is_told_by_stage_process_and_command() -> None:
    text = breakdown_as_markdown(recorded("round_trip", ROUND_TRIP))
    assert "**round_trip**: 200 µs" in text
    assert "| client | call made, arguments pickled | 10 | 9 | 10.5 | 5.0% |" in text
    assert "| client | registered as pending | 10 | - | 10.5 | 5.0% |" in text
    left = 210 - 10.5 * len(STAGES)
    assert f"| not explained | - | - | {left:g} | {left / 210:.1%} |" in text
    assert "| **the whole** | 200 | - | 210 | 100.0% |" in text
    assert "the whole is 190 µs; 99.5% of the calls" in text
    mains = sum(span.role == "main" for span in SPANS)
    assert f"what is between | {21 - 5 - mains} |" in text
    assert "| worker's main process | 20 | 1.5 | - | - |" in text
    assert "| LPUSH | 1 | 4.5 |" in text
    assert "| TIME |" not in text
    assert "5,540 to Redis, 2,260 from it" in text
    assert "| sent to started | 3 |" in text


def test_a_map_has_neither_stages_nor_timelines() -> None:
    text = breakdown_as_markdown(
        recorded("map", {"whole": 2.8, **COSTS}, errors={"submit": "hung"})
    )
    assert "**map**: 2.8 µs" in text
    assert "stage" not in text
    assert "timeline" not in text
    assert "- submit FAILED: hung" in text


def test_an_unknown_figure_is_an_error() -> None:
    with pytest.raises(KeyError, match="no figure is called 'speed'"):
        figure_of("map.speed")


def test_the_command_measures_in_sessions_and_writes_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def session(measurement: Measurement, workers: int, *, module: str) -> dict[str, float]:
        asked.append(f"{module} {measurement.name} {workers}")
        return {f"map.{key}": value for key, value in {"whole": 2.8, **COSTS}.items()}

    monkeypatch.setattr(command, "session", session)
    monkeypatch.chdir(tmp_path)
    arguments = ["--where", "--only", "map", "--rounds", "2", "--workers", "3"]
    done = CliRunner().invoke(command.main, arguments)
    assert done.exit_code == 0, done.output
    assert asked == ["benchmarks.self.where.session map 3"] * 2
    assert "**map**: 2.8 µs" in done.output
    assert Results.load(tmp_path / "build/where.json").series["map.whole"].values == (2.8, 2.8)


def test_only_some_measurements_can_say_where() -> None:
    assert [each.name for each in chosen(["map"])] == ["map"]
    done = CliRunner().invoke(command.main, ["--where", "--only", "start"])
    assert done.exit_code == 2
    assert "no measurement with --where is called start" in done.output
    listed = CliRunner().invoke(command.main, ["--where", "--list"])
    assert listed.output.split() == ["round_trip", "submit", "map"]
