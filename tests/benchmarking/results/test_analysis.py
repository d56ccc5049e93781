"""Figures of runs small enough to be worked out by hand, and what holds of any run."""

import math
import time
from array import array
from dataclasses import asdict

import numpy as np
import pytest

from distribute_challenge.benchmarking.recording import Run, Sample, Step, Usage
from distribute_challenge.benchmarking.results.analysis import (
    Percentiles,
    StepFigures,
    figures,
    queue_over_time,
    throughput,
    throughput_over_time,
)
from tests.benchmarking.recorded import interrupted, plan, recorded, tiny_step

# Two workers in a window from 10 to 14: one call is half in it, two are wholly, and one a quarter.
CALLS = (
    (9.0, 11.0, "worker-10"),
    (11.0, 13.0, "worker-10"),
    (10.0, 13.0, "worker-2"),
    (13.5, 15.5, "worker-2"),
)


def run_of(*steps: Step, workload: str = "sleep", task_seconds: float = 2.0) -> Run:
    return Run(
        plan=plan(workload, task_seconds=task_seconds), machine={}, epoch=0.0, steps=list(steps)
    )


def only(step: Step, **options: float) -> StepFigures:
    (one,) = figures(run_of(step, **options))  # type: ignore[arg-type]
    return one


def test_a_call_counts_by_its_share_of_the_window() -> None:
    one = only(tiny_step(*CALLS))
    assert one.throughput == pytest.approx((0.5 + 1 + 1 + 0.25) / 4)
    assert one.throughput == throughput(tiny_step(*CALLS))


@pytest.mark.parametrize(
    ("moment", "counts"), [(9.9, 0), (10.0, 1), (12.0, 1), (14.0, 1), (14.1, 0)]
)
def test_a_call_that_took_no_time_counts_if_it_finished_in_the_window(
    moment: float, counts: int
) -> None:
    assert only(tiny_step((moment, moment, "worker-1"))).throughput == counts / 4


def test_a_call_longer_than_the_window_counts_for_what_is_in_it() -> None:
    assert only(tiny_step((8.0, 16.0, "worker-1"))).throughput == pytest.approx(0.5 / 4)


def test_efficiency_of_sleeping_calls_is_relative_to_the_clock() -> None:
    """They are not compared with what one worker did."""
    one = only(tiny_step(*CALLS))
    assert (one.ideal, one.efficiency) == (1.0, pytest.approx(2.75 / 4))


@pytest.mark.parametrize("workload", ["cpu", "noop", "payload"])
def test_efficiency_of_other_workloads_is_relative_to_the_smallest_size(workload: str) -> None:
    small = tiny_step((10.0, 12.0, "worker-1"), (12.0, 14.0, "worker-1"), workers=1)
    one, two, three = figures(
        run_of(small, tiny_step(*CALLS), tiny_step(workers=3), workload=workload)
    )
    assert (one.ideal, one.efficiency) == (0.5, 1.0)
    assert (two.ideal, two.efficiency) == (1.0, pytest.approx(2.75 / 4))
    assert (three.ideal, three.efficiency) == (1.5, 0.0)


def test_the_reference_size_is_the_smallest_complete_one() -> None:
    small = tiny_step((10.0, 11.0, "worker-1"), workers=1)
    small.complete = False
    assert [step.ideal for step in figures(run_of(small, tiny_step(*CALLS), workload="cpu"))] == [
        2.75 / 8,
        2.75 / 4,
    ]


def test_stages_are_those_of_calls_that_finished_in_the_window() -> None:
    """Three of the four: they waited 0, 2 and 1 s, and ran for 2, 2 and 3 s."""
    one = only(tiny_step(*CALLS))
    assert one.calls == 3
    assert one.waiting == Percentiles(1.0, pytest.approx(1.9), pytest.approx(1.98))
    assert one.running == Percentiles(2.0, pytest.approx(2.9), pytest.approx(2.98))
    assert one.returning == Percentiles(*[pytest.approx(0.1)] * 3)
    assert one.total is not None
    assert one.total.p50 == pytest.approx(4.1)


def test_allocation_lists_workers_in_numerical_order() -> None:
    one = only(tiny_step(*CALLS))
    assert list(one.allocation.items()) == [("worker-2", 1.25), ("worker-10", 1.5)]
    assert one.unevenness == pytest.approx(0.25 / 1.375)


def test_a_worker_whose_process_was_replaced_is_one_worker() -> None:
    step = tiny_step((10.0, 11.0, "worker-1"), (11.0, 12.0, "worker-1/2"), workers=1)
    step.calls.workers = ["worker-1", "worker-1"]
    assert only(step).allocation == {"worker-1": 2.0}


def test_unevenness_includes_a_worker_that_ran_nothing() -> None:
    """Its usage shows it, or else how uneven the numbers of calls are."""
    step = tiny_step((10.0, 11.0, "worker-2"))
    assert only(step).unevenness == 2.0
    step.samples = [
        Sample(12.0, 0, 0, {}, {name: Usage(0.0, 1) for name in ("worker-1", "worker-2", "redis")})
    ]
    assert only(step).allocation == {"worker-1": 0.0, "worker-2": 1.0}
    assert only(step).unevenness == 2.0


def test_usage_is_that_of_the_window() -> None:
    step = tiny_step(*CALLS)
    step.samples = [
        Sample(9.0, 100, 0, {"client": 50}, {"worker-1": Usage(8.0, 9_000)}),
        Sample(
            11.0,
            4,
            0,
            {"client": 3, "workers": 5},
            {"worker-1": Usage(0.5, 100), "redis": Usage(0.1, 50)},
        ),
        Sample(
            12.0, 2, 0, {"client": 4}, {"worker-1": Usage(1.0, 80), "worker-2": Usage(0.5, 100)}
        ),
    ]
    one = only(step)
    assert one.cpu == {"redis": 0.05, "worker-1": 0.75, "worker-2": 0.25}
    assert one.memory == {"redis": 50, "worker-1": 100, "worker-2": 100}
    assert (one.worker_cpu, one.worker_memory) == (1.0, 200)
    assert one.connections == {"client": 4, "workers": 5}
    assert one.messages == 3.0


def test_the_queue_holds_what_was_created_and_has_not_started() -> None:
    """All were created at 9; they started at 9, 10, 11 and 13.5."""
    seconds, waiting = queue_over_time(tiny_step(*CALLS))
    assert seconds.tolist() == [0, 1, 2, 3]
    assert waiting.tolist() == [2, 1, 1, 1]
    assert only(tiny_step(*CALLS)).queue == 1.25


def test_throughput_over_time_has_the_warm_up_and_the_end() -> None:
    """The second in which the last call finished is left out: the rest of it was not measured."""
    seconds, counts, smoothed = throughput_over_time(tiny_step(*CALLS, (9.5, 10.0, "worker-2")))
    assert seconds.tolist() == [-0.5, 0.5, 1.5, 2.5, 3.5, 4.5]
    assert counts.tolist() == [0, 1, 1, 0, 2, 0]
    assert smoothed.tolist() == pytest.approx([2 / 3, 2 / 4, 4 / 5, 4 / 4, 3 / 3, 0])


def test_seconds_without_calls_at_the_end_of_the_window_count() -> None:
    """Workers that hang are seen."""
    step = tiny_step((10.0, 10.5, "worker-1"), (11.0, 11.5, "worker-1"))
    assert throughput_over_time(step)[1].tolist() == [0, 1, 1, 0, 0]
    assert only(step).spread == (0.0, 1.0)


def test_the_spread_is_that_of_whole_seconds_in_the_window() -> None:
    step = tiny_step(
        *[(10 + i / 10, 10.05 + i / 10, "worker-1") for i in range(-10, 50)], closed=12.5
    )
    assert only(step).spread == (10.0, 10.0)


def test_a_moving_average_of_a_constant_is_that_constant() -> None:
    """This holds at its ends, too."""
    step = tiny_step(*[(10 + i / 2, 10.25 + i / 2, "worker-1") for i in range(8)])
    _, counts, smoothed = throughput_over_time(step)
    assert counts.tolist() == [0, 2, 2, 2, 2]
    assert smoothed.tolist()[3:] == [2.0, 2.0]


@pytest.mark.parametrize(
    "step",
    [
        Step(1),
        Step(1, opened=5.0, closed=5.0),
        Step(1, opened=5.0, closed=8.0),
        tiny_step((8.0, 9.5, "worker-1")),
    ],
)
def test_a_step_without_calls_is_all_zeros(step: Step) -> None:
    for workload in ("sleep", "cpu"):
        (one,) = figures(run_of(step, workload=workload))
        assert (one.throughput, one.spread, one.calls, one.unevenness, one.queue) == (
            0,
            (0.0, 0.0),
            0,
            None,
            0,
        )
        assert one.waiting is one.running is one.returning is one.total is None


def test_a_step_that_was_interrupted_in_its_warm_up_has_no_throughput() -> None:
    step = tiny_step(*CALLS, opened=12.0, closed=12.0)
    assert (only(step).throughput, only(step).calls, only(step).window) == (0, 0, 0)
    assert throughput_over_time(step)[0].tolist() == [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]


def test_a_run_without_steps_has_no_figures() -> None:
    assert figures(run_of()) == []


def test_clocks_that_differ_do_not_give_negative_times() -> None:
    step = tiny_step((10.0, 11.0, "worker-1"))
    step.calls.received = array("d", [10.9])
    assert only(step).returning == Percentiles(0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    "run", [recorded("sleep"), recorded("cpu"), recorded("noop", runtime=3), interrupted("payload")]
)
def test_figures_of_any_run_are_consistent_and_finite(run: Run) -> None:
    """What workers did adds up to the whole; percentiles rise; nothing is without a value."""
    for step, one in zip(run.steps, figures(run), strict=True):
        assert sum(one.allocation.values()) == pytest.approx(one.throughput * one.window)
        assert len(one.allocation) == step.workers
        for stage in (one.waiting, one.running, one.returning, one.total):
            assert stage is not None
            assert 0 <= stage.p50 <= stage.p95 <= stage.p99
        assert one.spread[0] <= one.spread[1]
        numbers = [value for value in asdict(one).values() if isinstance(value, int | float)]
        assert all(math.isfinite(number) for number in numbers)
        seconds, counts, smoothed = throughput_over_time(step)
        assert len(seconds) == len(counts) == len(smoothed)
        assert counts.sum() == np.sum(
            np.asarray(step.calls.finished) < step.opened + seconds[-1] + 0.5
        )


def test_a_million_calls_take_about_a_second() -> None:
    """Each call is counted by NumPy, none by Python; the bound leaves room for a slow machine."""
    step = Step(workers=4, opened=10.0, closed=110.0, complete=True)
    count = 1_000_000
    finished = np.linspace(5.0, 115.0, count)
    for name, lead in zip(step.calls.COLUMNS, (0.5, 0.4, 0.0001, 0.0, -0.01), strict=True):
        setattr(step.calls, name, array("d", finished - lead))
    step.calls.worker = array("H", (np.arange(count) % 4).astype(np.uint16).tobytes())
    step.calls.workers = [f"worker-{i}" for i in range(4)]
    began = time.process_time()
    (one,) = figures(run_of(step, workload="noop"))
    assert time.process_time() - began < 3
    assert one.throughput == pytest.approx(count / 110, rel=1e-3)
