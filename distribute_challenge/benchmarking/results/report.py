"""Writes a run as one HTML file that loads nothing else.

The page has the answer, what went wrong, pictures, tables, and what the words mean.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from distribute_challenge.benchmarking.recording import Run
from distribute_challenge.benchmarking.results import answer
from distribute_challenge.benchmarking.results.analysis import (
    Percentiles,
    StepFigures,
    figures,
    is_worker,
)
from distribute_challenge.benchmarking.results.plots.drawing import render, require
from distribute_challenge.benchmarking.results.plots.pictures import PICTURES
from distribute_challenge.core.units import (
    NOTHING,
    amount,
    in_natural_order,
    memory,
    percent,
    rate,
    seconds,
)
from distribute_challenge.reporting.page import (
    figure,
    notes,
    page,
    paragraph,
    section,
    table,
)

__all__ = ["REPORT_FILE", "write"]

REPORT_FILE = "report.html"

TERMS = (
    (
        "calls/s",
        (
            "Calls per second. A call counts by the share of its time on the worker that lies in the "
            "measured time."
        ),
    ),
    (
        "ideal",
        (
            "What workers would do that share nothing and lose no time: calls that sleep are held "
            "against the clock, others "
            "against the smallest size that was measured, times the workers."
        ),
    ),
    (
        "single seconds",
        "The 5th and the 95th percentile of the calls that finished in single seconds.",
    ),
    (
        "waiting, running, returning",
        (
            "From the call to its start on a worker, on the worker, and from there back to the "
            "client, for calls that "
            "finished in the measured time. The queue was kept full, so waiting is as long as the "
            "queue."
        ),
    ),
    ("p50, p95, p99", "Of a hundred calls, so many took at most so long."),
    ("uneven", "From the least to the most calls that one worker ran, as a share of their mean."),
    ("cores", "Cores kept busy, on average over the measured time."),
    ("memory", "The largest that was seen, in units of a thousand bytes; of workers the sum."),
    ("queue", "Calls that wait for a worker, on average."),
    ("scaling", "From the order to have so many workers until exactly so many answered."),
    ("cut short", "Not measured to its end; calls that were on their way then are not counted."),
)


def write(run: Run, folder: Path) -> Path:
    """Write the page.

    Args:
        run: A complete or an interrupted run.
        folder: Folder for the file, which exists.

    Returns:
        Path of the file.

    Raises:
        BackendError: NumPy or Matplotlib is not installed. The text has the line that installs
            them.
    """
    require()
    steps = figures(run)
    path = folder / REPORT_FILE
    path.write_text(
        page("Load benchmark", [*_head(run, steps), *_body(run, steps)]), encoding="utf-8"
    )
    return path


def _head(run: Run, steps: Sequence[StepFigures]) -> list[str]:
    calls = sum(step.calls for step in steps)
    mishaps = [paragraph("mishap", text) for text in answer.mishaps(steps)]
    disturbance = answer.disturbance(run, steps)
    fine = f"None of the {amount(calls, 'call')} measured was lost, and none failed."
    return [
        "<h1>How many workers, and what do they give?</h1>",
        paragraph("subject", f"Measured with {answer.subject(run)}."),
        paragraph("answer", f"{answer.growth(run, steps)} {answer.limit(run, steps)}".rstrip()),
        *([paragraph("mishap", disturbance)] if disturbance else []),
        *(mishaps or ([paragraph("fine", fine)] if calls else [])),
    ]


def _body(run: Run, steps: Sequence[StepFigures]) -> list[str]:
    setting = section("What was measured, and where", _plan(run), _machine(run))
    if not steps:
        return [setting]
    pictures = [
        figure(
            render(picture, run, steps, formats=["svg"])["svg"],
            text=f"{picture.title}; the tables on this page have the figures",
            caption=picture.caption,
        )
        for picture in PICTURES
    ]
    return [
        section("Each size", _sizes(steps)),
        section("Pictures", *pictures),
        section("Times of a call", _times(steps)),
        section("Calls of each worker", _allocation(steps)),
        section("Cores, memory, connections", _resources(steps)),
        *([section("Failures", _failures(steps))] if any(step.failures for step in steps) else []),
        setting,
        section("What the words mean", notes(TERMS)),
    ]


def _name(step: StepFigures) -> str:
    return str(step.workers) if step.complete else f"{step.workers} (cut short)"


def _sizes(steps: Sequence[StepFigures]) -> str:
    heads = [
        "workers",
        "calls/s",
        "ideal",
        "of ideal",
        "single seconds",
        "calls",
        "uneven",
        "queue",
        "lost",
        "failed",
        "scaling",
    ]
    rows = [
        [
            _name(step),
            rate(step.throughput),
            NOTHING if step.ideal is None else rate(step.ideal),
            percent(step.efficiency),
            f"{rate(step.spread[0])} to {rate(step.spread[1])}",
            f"{step.calls:,}",
            percent(step.unevenness),
            rate(step.queue),
            f"{step.lost:,}",
            f"{sum(step.failures.values()):,}",
            seconds(step.scaling),
        ]
        for step in steps
    ]
    return table(heads, rows)


def _times(steps: Sequence[StepFigures]) -> str:
    stages = ("waiting", "running", "returning", "total")
    heads = ["workers", *(text for stage in stages for text in (f"{stage} p50", "p95", "p99"))]
    rows = []
    for step in steps:
        found = [step.waiting, step.running, step.returning, step.total]
        rows.append([_name(step), *(text for stage in found for text in _percentiles(stage))])
    return table(heads, rows)


def _percentiles(stage: Percentiles | None) -> list[str]:
    return [seconds(value) for value in asdict(stage).values()] if stage else [NOTHING] * 3


def _allocation(steps: Sequence[StepFigures]) -> str:
    names = in_natural_order({name for step in steps for name in step.allocation})
    rows = [
        [name, *(rate(step.allocation[name]) if name in step.allocation else "" for step in steps)]
        for name in names
    ]
    return table(["worker", *(f"of {_name(step)}" for step in steps)], rows)


def _resources(steps: Sequence[StepFigures]) -> str:
    others = in_natural_order({name for step in steps for name in step.cpu if not is_worker(name)})
    owners = in_natural_order({owner for step in steps for owner in step.connections})
    heads = [
        "workers",
        *(f"{name}: {what}" for name in ("workers", *others) for what in ("cores", "memory")),
    ]
    rows = []
    for step in steps:
        taken = [
            (step.worker_cpu, step.worker_memory),
            *((step.cpu.get(n, 0.0), step.memory.get(n, 0)) for n in others),
        ]
        row = [
            text
            for cpu, size in taken
            for text in ((f"{cpu:.2f}", memory(size)) if step.cpu else (NOTHING, NOTHING))
        ]
        rows.append(
            [_name(step), *row, *(str(step.connections.get(owner, NOTHING)) for owner in owners)]
        )
    return table([*heads, *(f"connections: {owner}" for owner in owners)], rows)


def _failures(steps: Sequence[StepFigures]) -> str:
    rows = [
        [_name(step), kind, f"{count:,}"] for step in steps for kind, count in step.failures.items()
    ]
    return table(["workers", "what was raised", "calls"], rows, words=[1])


def _plan(run: Run) -> str:
    plan = run.plan
    rows = [
        ["calls", answer.subject(run)],
        ["sizes", ", ".join(map(str, plan.sizes))],
        ["each measured for", f"{plan.runtime:g} s, after {plan.warm_up:g} s under load"],
        *([] if run.spins is None else [["loops of a call", f"{run.spins:,}"]]),
        ["back to the first size in", seconds(run.scaled_back)],
    ]
    return table([], rows, words=[1])


def _machine(run: Run) -> str:
    rows = []
    for name, value in run.machine.items():
        # Memory is recorded in bytes, and shown with a unit.
        text = memory(value) if name == "memory" and isinstance(value, int) else str(value)
        rows.append([name, text])
    return table([], rows, words=[1])
