"""What a run says, in words."""

import pytest

from distribute_challenge.benchmarking.recording import Run, Sample, Step, Usage
from distribute_challenge.benchmarking.results.analysis import figures
from distribute_challenge.benchmarking.results.answer import (
    cores,
    disturbance,
    growth,
    limit,
    mishaps,
    subject,
)
from distribute_challenge.core.units import percent
from tests.benchmarking.recorded import MACHINE, cut, interrupted, plan, recorded


def said(run: Run) -> str:
    return growth(run, figures(run))


def run_of(rates: dict[int, float], *, workload: str = "noop", **machine: str | int | float) -> Run:
    """A run with so many calls per second at each size."""
    run = Run(plan=plan(workload, task_seconds=1.0), machine=dict(MACHINE) | machine, epoch=0.0)
    for workers, rate in rates.items():
        step = Step(workers=workers, opened=0.0, closed=10.0, complete=True)
        times = [(i + 0.5) / rate for i in range(round(10 * rate))]
        for name in step.calls.COLUMNS:
            getattr(step.calls, name).extend(times)
        step.calls.worker.extend([0] * len(times))
        step.calls.workers.append("worker-1")
        run.put(step)
    return run


def test_the_answer_for_growing_throughput_names_the_largest_size() -> None:
    text = "Throughput grows up to 4 workers, the most that were measured: 39.0 calls per second with 4 workers."
    assert said(run_of({1: 10, 2: 20, 3: 30, 4: 39})) == text


def test_the_answer_for_sleeping_calls_gives_the_share_of_the_ideal() -> None:
    assert said(recorded("sleep", sizes=(18, 20))).endswith(
        "with 20 workers, 99.6 % of the ideal 20.0."
    )


def test_growth_by_a_twentieth_still_counts_as_growth() -> None:
    """It brings no more than a twentieth."""
    assert "grows up to 40 workers" in said(run_of({size: float(size) for size in range(30, 41)}))


def test_the_answer_names_the_number_of_cores_if_throughput_stays_there() -> None:
    assert said(run_of({1: 10, 2: 20, 3: 20.4, 4: 19.6}, workload="cpu")) == (
        "Throughput grows up to 2 workers, as many as the machine has cores, and stays there: "
        "20.0 calls per second with 2 workers, 19.6 with 4."
    )


def test_cores_are_mentioned_only_for_calls_that_keep_them_busy() -> None:
    assert "cores" not in said(run_of({1: 10, 2: 20, 3: 20}))
    assert cores(run_of({}, workload="cpu")) == 2
    assert cores(run_of({}, workload="sleep")) is None
    assert cores(run_of({}, workload="cpu", cores="two")) is None


def test_the_answer_for_falling_throughput_says_after_which_size_it_falls() -> None:
    assert said(run_of({1: 10, 2: 20, 3: 12})).startswith(
        "Throughput grows up to 2 workers and falls after that: 20.0"
    )


@pytest.mark.parametrize(
    "rates", [{1: 8.1, 2: 5.3, 3: 14.8}, {1: 8.1, 2: 5.3, 3: 7.9}, {1: 10, 2: 20, 3: 12, 4: 19}]
)
def test_the_answer_for_uneven_throughput_asks_to_measure_again(rates: dict[int, float]) -> None:
    """The machine may have done something else for a while."""
    text = said(run_of(rates))
    assert text.startswith("Throughput does not grow evenly: ")
    assert (
        "does not tell how many workers are enough: measure again on a machine that does nothing "
        "else" in text
    )


def test_the_answer_for_a_dip_shows_the_three_sizes_around_the_dip() -> None:
    text = said(run_of({1: 5, 2: 8.1, 3: 5.3, 4: 9, 5: 14.8}))
    assert "evenly: 8.10 calls per second with 2 workers, 5.30 with 3 and 14.8 with 5." in text


def test_the_answer_says_if_more_workers_bring_no_more_throughput() -> None:
    assert said(run_of({1: 10, 2: 10, 3: 9.8})) == (
        "More workers than 1 bring no more: 10.0 calls per second with 1 worker, 9.80 with 3."
    )


def test_the_answer_says_if_more_workers_bring_less_throughput() -> None:
    assert said(run_of({1: 10, 2: 5})).startswith("More workers than 1 bring less: 10.0")


def test_the_answer_for_a_single_size_is_its_throughput() -> None:
    assert said(run_of({3: 1000})) == "1,000 calls per second with 3 workers."


def test_an_interrupted_step_is_the_answer_only_if_it_is_the_only_step() -> None:
    assert "2 workers, the most that were measured" in said(interrupted(sizes=(1, 3)))
    alone = interrupted(sizes=(3, 3))
    (one,) = figures(alone)
    assert said(alone).startswith(
        f"{one.throughput:.2f} calls per second with 3 workers, {percent(one.efficiency)}"
    )


def test_the_answer_says_if_nothing_was_measured_or_no_call_ended() -> None:
    assert said(run_of({})) == "Nothing was measured to its end."
    run = recorded(sizes=(1, 1))
    run.steps[0] = cut(run.steps[0], run.steps[0].opened)
    assert said(run) == "Nothing was measured to its end."
    assert said(run_of({1: 0.0001})) == "No call came to its end while it was measured."


def limits(run: Run) -> str:
    return limit(run, figures(run))


def with_cpu(run: Run, cores: float) -> Run:
    for step in run.steps:
        step.samples = [
            Sample(5.0, 0, 0, {}, {"worker-1": Usage(cores, 1), "redis": Usage(1.0, 1)})
        ]
    return run


def test_idle_workers_do_not_limit_throughput() -> None:
    assert limits(with_cpu(run_of({1: 10, 4: 10}), 0.3)).startswith(
        "It is not the workers that limit it: 4 workers kept 0.30 cores busy."
    )


def test_workers_that_keep_the_cores_busy_are_not_ruled_out_as_the_limit() -> None:
    """Half of the machine's two cores, or half of as many as there are workers."""
    assert limits(with_cpu(run_of({1: 10, 4: 10}), 1.1)) == ""
    assert limits(with_cpu(run_of({1: 10, 4: 10}, cores="many"), 1.1)).startswith(
        "It is not the workers"
    )


def test_the_answer_says_nothing_about_workers_without_usage_samples() -> None:
    assert limits(run_of({1: 10})) == limits(run_of({})) == ""


def test_calls_that_sleep_leave_workers_idle() -> None:
    assert limits(with_cpu(run_of({1: 10}, workload="sleep"), 0.1)) == ""


def disturbed(*others: float, **machine: str) -> str:
    run = run_of({size: 10.0 for size, _ in enumerate(others, 1)}, **machine)
    for step, taken in zip(run.steps, others, strict=True):
        step.samples = [Sample(5.0, 0, 0, {}, {}, taken)]
    return disturbance(run, figures(run))


def test_other_programs_are_told_if_they_take_more_than_a_tenth_of_the_machine() -> None:
    assert disturbed(0.1, 1.44) == (
        "The machine was not quiet: other programs kept up to 1.4 of its 2 cores busy (with 2 "
        "workers), "
        "so these figures are lower than they could be."
    )
    assert disturbed(0.2, 0.1) == disturbed() == disturbed(1.0, cores="two") == ""


def test_a_run_in_which_all_went_well_has_no_mishaps() -> None:
    assert mishaps(figures(recorded())) == []


def test_mishaps_are_counted_over_all_steps() -> None:
    run = interrupted(sizes=(1, 3))
    run.steps[0].failures = {"OSError: no space <left>": 1, "ValueError: x": 1000}
    run.steps[1].complete = False
    assert mishaps(figures(run)) == [
        "1 call never came back.",
        "1,003 calls failed: OSError: no space <left> (3), ValueError: x (1,000).",
        "Not measured to the end: the steps with 2 and 3 workers.",
    ]


def test_one_step_that_was_cut_short_is_named() -> None:
    assert (
        mishaps(figures(interrupted(sizes=(1, 1))))[-1]
        == "Not measured to the end: the step with 1 worker."
    )


@pytest.mark.parametrize(
    ("workload", "text"),
    [
        ("cpu", "calls that keep a core busy for 1 s, on Docker Compose"),
        ("noop", "calls that do nothing, on Docker Compose"),
        ("payload", "calls that carry 0 bytes there and back, on Docker Compose"),
    ],
)
def test_the_subject_of_a_run_describes_its_workload_in_words(workload: str, text: str) -> None:
    assert subject(run_of({}, workload=workload)) == text
