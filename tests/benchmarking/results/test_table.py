"""The table for the terminal."""

import pytest

from distribute_challenge.benchmarking.recording import Run, Step, Usage
from distribute_challenge.benchmarking.results.analysis import figures
from distribute_challenge.benchmarking.results.table import summary
from distribute_challenge.core.units import rate
from tests.benchmarking.recorded import interrupted, plan, recorded

RUNS = {
    "sleep": recorded("sleep", sizes=(1, 20), runtime=5),
    "cpu": recorded("cpu"),
    "noop": recorded("noop", runtime=3),
    "payload": recorded("payload"),
    "interrupted": interrupted(),
    "one size": recorded("noop", sizes=(3, 3), runtime=3),
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_terminal_of_a_hundred_columns_is_wide_enough(run: Run) -> None:
    assert max(len(line) for line in summary(run).splitlines()) <= 100


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_every_step_has_its_row(run: Run) -> None:
    rows = summary(run).splitlines()[1 : len(run.steps) + 1]
    assert [row.split()[0].rstrip("*") for row in rows] == [str(step.workers) for step in run.steps]


def test_table_columns_have_the_values_named_by_their_heads() -> None:
    run = recorded("cpu", sizes=(2, 2))
    (one,) = figures(run)
    lines = summary(run).splitlines()
    heads = "workers calls/s ideal waiting running returning uneven cores memory lost failed"
    assert lines[0].split() == heads.split()
    assert lines[1].split()[:4] == ["2", rate(one.throughput), "100", "%"]
    assert "share of what 2 workers did" in lines[3]
    assert lines[-1] == f"{rate(one.throughput)} calls per second with 2 workers."


def test_mishaps_are_shown_in_the_row_of_their_step_and_below_the_table() -> None:
    lines = summary(interrupted(sizes=(1, 2))).splitlines()
    assert lines[2].split()[0] == "2*"
    assert lines[2].split()[-2:] == ["1", "2"]
    assert "*          not measured to its end" in lines
    assert lines[-3:] == [
        "1 call never came back.",
        "2 calls failed: OSError: no space <left> (2).",
        "Not measured to the end: the step with 2 workers.",
    ]


def test_idle_workers_are_told_of() -> None:
    run = recorded("noop", sizes=(2, 2), runtime=2)
    for sample in run.steps[0].samples:
        sample.usage["worker-1"] = sample.usage["worker-2"] = Usage(0.1, 1)  # type: ignore[index]
    assert "It is not the workers that limit it: 2 workers kept 0.20 cores busy." in summary(run)


def test_a_figure_without_a_measurement_is_shown_as_a_dash() -> None:
    run = Run(plan=plan("noop"), machine={}, epoch=0.0, steps=[Step(1)])
    assert summary(run).splitlines()[1].split() == ["1*", "0", *["-"] * 7, "0", "0"]


def test_a_run_without_steps_has_a_sentence_and_no_table() -> None:
    assert summary(Run(plan=plan(), machine={}, epoch=0.0)) == "Nothing was measured to its end."
