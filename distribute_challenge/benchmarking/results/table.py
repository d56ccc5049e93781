"""Writes a run's figures as a table for the terminal, and below it the answer in words."""

from collections.abc import Sequence
from textwrap import fill

from distribute_challenge.benchmarking.recording import Run
from distribute_challenge.benchmarking.results import answer
from distribute_challenge.benchmarking.results.analysis import Percentiles, StepFigures, figures
from distribute_challenge.core.tables import table
from distribute_challenge.core.units import (
    NOTHING,
    amount,
    memory,
    percent,
    rate,
    seconds_together,
)

__all__ = ["summary"]

# Short, so that a row fits into 100 columns.
HEADS = (
    "workers",
    "calls/s",
    "ideal",
    "waiting",
    "running",
    "returning",
    "uneven",
    "cores",
    "memory",
    "lost",
    "failed",
)

COLUMNS = 100

LEGEND = """\
ideal      share of {ideal}
waiting    from the call to its start on a worker; with running, and returning to the client:
           median and 95th percentile of the calls that finished while it was measured
uneven     from the least to the most calls that one worker ran, as a share of their mean
cores      of all workers together, as their memory"""
CUT = "*          not measured to its end"


def summary(run: Run) -> str:
    """Return a row for each step, and the answer, in at most 100 columns.

    Args:
        run: A complete or an interrupted run.
    """
    steps = figures(run)
    said = [fill(text, COLUMNS) for text in _said(run, steps)]
    if not steps:
        return "\n".join(said)
    rows = table(HEADS, [_row(step) for step in steps], right=range(len(HEADS)))
    legend = LEGEND.format(ideal=_ideal(run, steps))
    return "\n".join(
        [rows, "", legend, *([] if all(step.complete for step in steps) else [CUT]), "", *said]
    )


def _said(run: Run, steps: Sequence[StepFigures]) -> list[str]:
    sentences = [
        answer.growth(run, steps),
        answer.limit(run, steps),
        answer.disturbance(run, steps),
        *answer.mishaps(steps),
    ]
    return [sentence for sentence in sentences if sentence]


def _row(step: StepFigures) -> list[str]:
    return [
        str(step.workers) if step.complete else f"{step.workers}*",
        rate(step.throughput),
        percent(step.efficiency),
        _two(step.waiting),
        _two(step.running),
        _two(step.returning),
        percent(step.unevenness),
        f"{step.worker_cpu:.2f}" if step.cpu else NOTHING,
        memory(step.worker_memory) if step.memory else NOTHING,
        str(step.lost),
        str(sum(step.failures.values())),
    ]


def _ideal(run: Run, steps: Sequence[StepFigures]) -> str:
    if run.plan.workload == "sleep":
        return f"one call in {run.plan.task_seconds:g} s for each worker"
    return f"what {amount(steps[0].workers, 'worker')} did, times as many as there are"


def _two(stage: Percentiles | None) -> str:
    return seconds_together([stage.p50, stage.p95]) if stage else NOTHING
