"""Rounds, and sessions that do not do what they should."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from benchmarks.self.catalogue import CATALOGUE
from benchmarks.self.measurement import Measurement
from benchmarks.self.runner import SessionError, run, session


def ask(name: str, *, deadline: float = 20.0) -> dict[str, float]:
    measurement = replace(CATALOGUE[name], deadline=deadline)
    return session(measurement, 4, module="tests.benchmarks.self.sessions")


def test_a_session_yields_its_figures() -> None:
    assert ask("start") == {"first_result": 4.5}


def test_a_session_that_dies_is_an_error_with_its_exit_code_and_last_line() -> None:
    with pytest.raises(SessionError, match=r"^exit code 1: ValueError: no map$"):
        ask("map")


def test_the_error_for_a_session_that_dies_without_output_says_so() -> None:
    with pytest.raises(SessionError, match=r"^exit code 3: it said nothing$"):
        ask("mix")


def test_a_session_that_hangs_costs_its_deadline() -> None:
    with pytest.raises(SessionError, match=r"^no figures within 0\.1 s$"):
        ask("flood", deadline=0.1)


def test_rounds_are_interleaved_and_leave_out_measurements_that_have_failed() -> None:
    asked: list[str] = []
    said: list[str] = []

    def answer(measurement: Measurement, workers: int) -> dict[str, float]:
        asked.append(measurement.name)
        if measurement.name == "import":
            raise SessionError("it hung")
        return {"first_result": float(len(asked))}

    results = run(picked("import", "start"), workers=2, rounds=3, say=said.append, ask=answer)
    assert asked == ["import", "start", "start", "start"]
    assert results.series["first_result"].values == (2.0, 3.0, 4.0)
    assert results.errors == {"import": "it hung"}
    assert said[:2] == ["round 1, import: 0 s; FAILED: it hung", "round 1, start: 0 s"]


def picked(*names: str) -> Iterable[Measurement]:
    return [CATALOGUE[name] for name in names]
