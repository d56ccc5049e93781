"""Runs as the benchmark records them, made up: the same ones every time."""

from array import array

import numpy as np

from distribute_challenge.benchmarking.recording import Calls, Plan, Run, Sample, Step, Usage
from distribute_challenge.core.timeline import Timeline

MACHINE: dict[str, str | int | float] = {
    "cores": 2,
    "processor": "Example CPU @ 2.10GHz",
    "memory": "8.0 GB",
    "system": "Linux 6.1 x86_64",
    "python": "3.11.7",
    "redis": "7.4.1",
    "began": "2026-03-01 12:00:00 UTC",
}
MEMORY = 48_000_000


def plan(workload: str = "sleep", *, sizes: tuple[int, int] = (1, 4), **options: float) -> Plan:
    known = {
        "task_seconds": 1.0,
        "payload_bytes": 0,
        "step": 1,
        "runtime": 20.0,
        "warm_up": 5.0,
    } | options
    return Plan(
        cluster="compose", workload=workload, min_workers=sizes[0], max_workers=sizes[1], **known
    )  # type: ignore[arg-type]


def tiny_step(
    *spans: tuple[float, float, str], workers: int = 2, opened: float = 10.0, closed: float = 14.0
) -> Step:
    """Calls as (started, finished, worker); created at 9, received 0.1 s after they finished."""
    step = Step(workers=workers, opened=opened, closed=closed, complete=True, scaling=2.5)
    for started, finished, worker in spans:
        step.calls.add(Timeline(9.0, 9.0, started, finished, finished + 0.1, worker), epoch=0.0)
    return step


def recorded(
    workload: str = "sleep", *, sizes: tuple[int, int] = (1, 4), most: float = 1e9, **options: float
) -> Run:
    """A run in which all went well.

    Args:
        most: Calls per second that the broker can carry.
    """
    run = Run(
        plan=plan(workload, sizes=sizes, **options),
        machine=dict(MACHINE),
        epoch=1_772_366_400.0,
        spins=40_000_000,
    )
    begin = 10.0
    for workers in run.plan.sizes:
        step = _step(run.plan, workers, begin, most, np.random.default_rng(workers))
        run.steps.append(step)
        begin = step.closed + 8.0
    run.scaled_back = 1.4
    run.spins = 40_000_000 if workload == "cpu" else None
    return run


def interrupted(
    workload: str = "sleep", *, sizes: tuple[int, int] = (1, 4), **options: float
) -> Run:
    """A run that ended in the middle of its last step, with one call lost and two that raised."""
    run = recorded(workload, sizes=sizes, **options)
    run.steps[-1] = cut(run.steps[-1], run.steps[-1].opened + 8.3)
    run.steps[-1].failures, run.steps[-1].lost, run.scaled_back = (
        {"OSError: no space <left>": 2},
        1,
        None,
    )
    return run


def cut(step: Step, end: float) -> Step:
    """What is there of a step if it is interrupted."""
    short = Step(
        workers=step.workers,
        scaling=step.scaling,
        opened=min(step.opened, end),
        closed=min(step.closed, end),
    )
    for place, worker in enumerate(step.calls.worker):
        timeline = Timeline(
            *(getattr(step.calls, name)[place] for name in Calls.COLUMNS),
            step.calls.workers[worker],
        )
        if timeline.received < end:
            short.calls.add(timeline, epoch=0.0)
    short.samples = [sample for sample in step.samples if sample.time < end]
    return short


def _seconds_of_a_call(plan: Plan, workers: int, most: float) -> float:
    cores = int(MACHINE["cores"])
    if plan.workload == "sleep":
        return plan.task_seconds * 1.004
    alone = (
        plan.task_seconds
        if plan.workload == "cpu"
        else 0.0001
        if plan.workload == "noop"
        else 0.004
    )
    return max(alone * max(1.0, workers / cores) * (1 + 0.02 * workers), workers / most)


def _step(plan: Plan, workers: int, begin: float, most: float, random: np.random.Generator) -> Step:
    opened = begin + plan.warm_up
    step = Step(
        workers=workers,
        scaling=1.2 + 0.1 * workers,
        opened=opened,
        closed=opened + plan.runtime,
        complete=True,
    )
    one = _seconds_of_a_call(plan, workers, most)
    noise = {"sleep": 0.002, "cpu": 0.05}.get(plan.workload, 0.5)
    count = int((plan.warm_up + plan.runtime) / one * 1.2) + 8
    columns: list[list[np.ndarray]] = [[], [], [], [], []]
    owners = []
    for worker in range(workers):
        # Workers of one machine differ a little; a start takes up to a second.
        pace = 1.0 if plan.workload == "sleep" else 1 + 0.03 * random.standard_normal()
        lengths = one * pace * np.exp(noise * random.standard_normal(count))
        finished = begin + 0.3 + 0.6 * random.random() + np.cumsum(lengths)
        # Every ten seconds Redis saves, and all wait a little.
        finished += 0.05 * noise * np.floor((finished - begin) / 10)
        busy = 0.97 if plan.workload in ("sleep", "cpu") else 0.2
        started = finished - lengths * busy
        waiting = 2 * one * (1 + 0.2 * random.random(count)) + 0.002 * random.random(count)
        created = np.maximum(started - waiting, begin)
        received = finished + 0.0008 + 0.0006 * random.exponential(size=count)
        inside = created < step.closed
        for column, values in zip(
            columns, (created, created + 0.0004, started, finished, received), strict=True
        ):
            column.append(values[inside])
        owners.append(np.full(inside.sum(), worker))
    order = np.argsort(np.concatenate(columns[4]))
    for name, column in zip(step.calls.COLUMNS, columns, strict=True):
        setattr(step.calls, name, array("d", np.concatenate(column)[order]))
    step.calls.worker = array("H", np.concatenate(owners)[order].astype(int).tolist())
    step.calls.workers = [f"worker-{worker + 1}" for worker in range(workers)]
    step.samples = [
        _sample(plan, workers, begin + second, random, per_second=workers / one)
        for second in range(1, int(plan.warm_up + plan.runtime) + 1)
    ]
    return step


def _sample(
    plan: Plan, workers: int, time: float, random: np.random.Generator, *, per_second: float
) -> Sample:
    share = 0.01 if plan.workload == "sleep" else min(1.0, int(MACHINE["cores"]) / workers) * 0.95
    usage = {
        f"worker-{worker + 1}": Usage(
            cpu=share * (1 + 0.1 * random.random()), memory=MEMORY + int(2e6 * random.random())
        )
        for worker in range(workers)
    }
    usage["redis"] = Usage(cpu=0.01 + per_second / 50_000, memory=9_000_000 + 20_000 * workers)
    connections = {"client": 4, "workers": 3 * workers}
    return Sample(
        time, messages=2 * workers, in_flight=3 * workers, connections=connections, usage=usage
    )
