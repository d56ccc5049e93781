"""Computes figures from a recording.

They depend on nothing but the recording. The pictures, the table and the page show them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from distribute_challenge.benchmarking.extra import Lazily
from distribute_challenge.benchmarking.recording import Calls, Run, Sample, Step, Usage
from distribute_challenge.core.units import in_natural_order

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]
else:
    np = Lazily("numpy")

__all__ = [
    "SMOOTHED_OVER",
    "Percentiles",
    "StepFigures",
    "figures",
    "is_worker",
    "queue_over_time",
    "throughput",
    "throughput_over_time",
]

Figure = TypeVar("Figure", int, float)

# Seconds; a guess: with less, single calls show; with more, the start of a worker does not.
SMOOTHED_OVER = 5


@dataclass(frozen=True)
class Percentiles:
    """Percentiles of a duration, in seconds: half of the calls took less than `p50`, and so on."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, kw_only=True)
class StepFigures:
    """What one size of the cluster did in its measured window, from `Step.opened` to `Step.closed`.

    Attributes:
        workers: Number of workers.
        complete: Whether the step was measured to its end.
        window: Seconds measured; 0 if the step was interrupted before.
        calls: Calls that finished in the window.
        throughput: Calls per second. A call counts by the share of its time on the worker that lies
            in the window. A window cuts through one call of each worker at both of its ends: if
            whole calls counted, the figure of a window a moment earlier or later could differ by
            one call for each worker. A call that took no time counts if it finished in the window.
        ideal: Calls per second of workers that share nothing and lose no time: for ``sleep``, each
            does one call in ``Plan.task_seconds``; for other workloads, each does as much as one of
            the smallest step. None: that step did nothing.
        efficiency: `throughput` as a share of `ideal`, if there is one.
        spread: 5th and 95th percentile of the calls that finished in each whole second of the
            window.
        waiting: From creation to start on the worker, of the calls that finished in the window;
            None: there were none.
        running: From start to end on the worker.
        returning: From the end on the worker to the reply's arrival.
        total: From creation to the reply's arrival.
        allocation: Calls of each worker, counted as for `throughput`, which they add up to; also
            workers that ran none.
        unevenness: Difference between the most and the least that a worker ran, as a share of the
            mean; None: they ran nothing.
        cpu: Mean cores by container or process.
        memory: Largest number of bytes by container or process.
        others: Mean cores of the machine's other programs.
        queue: Calls that were created and not yet started, on average.
        messages: Messages in the queue, on average.
        connections: Largest number of connections to Redis, by owner.
        failures: Number of calls that raised in the whole step, by type and text of the exception.
        lost: Calls of the whole step that never came back.
        scaling: Seconds until the cluster had its size.
    """

    workers: int
    complete: bool
    window: float
    calls: int
    throughput: float
    ideal: float | None
    efficiency: float | None
    spread: tuple[float, float]
    waiting: Percentiles | None
    running: Percentiles | None
    returning: Percentiles | None
    total: Percentiles | None
    allocation: Mapping[str, float]
    unevenness: float | None
    cpu: Mapping[str, float]
    memory: Mapping[str, int]
    others: float
    queue: float
    messages: float
    connections: Mapping[str, int]
    failures: Mapping[str, int]
    lost: int
    scaling: float

    @property
    def worker_cpu(self) -> float:
        """Mean cores of all workers together."""
        return sum(cores for name, cores in self.cpu.items() if is_worker(name))

    @property
    def worker_memory(self) -> int:
        """Bytes of all workers together, each at its largest."""
        return sum(size for name, size in self.memory.items() if is_worker(name))


def figures(run: Run) -> list[StepFigures]:
    """Return the figures of each step of a run, in the order of the numbers of workers.

    Examples:
        >>> from distribute_challenge.benchmarking.recording import Plan
        >>> from distribute_challenge.core.timeline import Timeline
        >>> plan = Plan(cluster="local", workload="sleep", task_seconds=1.0, payload_bytes=0, min_workers=1,
        ...             max_workers=1, step=1, runtime=2.0, warm_up=1.0)
        >>> step = Step(workers=1, opened=1.0, closed=3.0, complete=True)
        >>> for begin in (0.5, 1.75):  # The first is half in the window.
        ...     step.calls.add(Timeline(0.0, 0.0, begin, begin + 1, begin + 1, "worker-1"), epoch=0.0)
        >>> (one,) = figures(Run(plan=plan, machine={}, epoch=0.0, steps=[step]))
        >>> one.throughput, one.ideal, one.allocation
        (0.75, 1.0, {'worker-1': 1.5})
    """
    rates = {step.workers: throughput(step) for step in run.steps}
    ideal = _ideal(run, rates)
    return [
        _figures(step, rate=rates[step.workers], ideal=ideal(step.workers)) for step in run.steps
    ]


def throughput(step: Step) -> float:
    """Return the calls per second in a step's window, as in `StepFigures`."""
    return float(_shares(step).sum()) / (step.closed - step.opened or 1.0)


def throughput_over_time(step: Step) -> tuple["Numbers", "Numbers", "Numbers"]:
    """Count the calls that finished in each second of a step, with its warm-up and its end.

    Returns:
        The middle of each second, counted from when measuring began; how many calls finished in it;
        and the moving average of these numbers over five seconds, computed for the time up to the
        window's end and the time after it separately. The last second, in which the step ended, is
        left out.
    """
    opened, closed = step.opened, step.closed
    finished = np.asarray(step.calls.finished) - opened
    begin = float(np.min(step.calls.created)) - opened if len(finished) else 0.0
    first = int(np.floor(np.min(finished, initial=begin)))
    # If calls stop coming before measuring ends, those seconds count too.
    last = int(np.floor(np.max(finished, initial=closed - opened)))
    counts = np.bincount(np.floor(finished).astype(int) - first, minlength=last - first)[
        : last - first
    ].astype(float)
    cut = int(closed - opened) - first
    smoothed = np.concatenate([_smoothed(counts[:cut]), _smoothed(counts[cut:])])
    return np.arange(first, last, dtype=float) + 0.5, counts, smoothed


def queue_over_time(step: Step) -> tuple["Numbers", "Numbers"]:
    """Count the calls that waited at each second of the window: created, but not yet started.

    Returns:
        Seconds from when measuring began, and how many calls waited then.
    """
    opened, closed = step.opened, step.closed
    if not step.complete:
        # Calls that were in flight when the step was cut short are not recorded, so the queue is
        # known only until the last recorded call was created.
        closed = min(closed, max(step.calls.created, default=opened))
    times = np.arange(opened, closed) if closed > opened else np.empty(0)
    created, started = (
        np.sort(np.asarray(column)) for column in (step.calls.created, step.calls.started)
    )
    waiting = np.searchsorted(created, times, side="right") - np.searchsorted(
        started, times, side="right"
    )
    return times - opened, waiting.astype(float)


def is_worker(name: str) -> bool:
    """Return whether a container or process is a worker, by its name in `Sample.usage`."""
    return name.startswith("worker")


def _shares(step: Step) -> "Numbers":
    """Return the share of each call that lies in the window, from 0 to 1."""
    opened, closed = step.opened, step.closed
    started, finished = np.asarray(step.calls.started), np.asarray(step.calls.finished)
    if closed <= opened:
        return np.zeros(len(finished))
    shares = ((opened <= finished) & (finished <= closed)).astype(float)
    inside = np.clip(np.minimum(finished, closed) - np.maximum(started, opened), 0.0, None)
    np.divide(inside, finished - started, out=shares, where=finished > started)
    return shares


def _ideal(run: Run, rates: Mapping[int, float]) -> Callable[[int], float | None]:
    """Return a function from a number of workers to the calls per second they do at best."""
    plan = run.plan
    if plan.workload == "sleep" and plan.task_seconds > 0:
        return lambda workers: workers / plan.task_seconds
    # A step that was cut short is measured less well: it is the base of the ideal only if there is
    # no other step.
    for step in sorted(run.steps, key=lambda step: (not step.complete, step.workers)):
        if (one := rates[step.workers] / step.workers) > 0:
            return lambda workers: workers * one
    return lambda workers: None


def _figures(step: Step, *, rate: float, ideal: float | None) -> StepFigures:
    calls, opened, closed = step.calls, step.opened, step.closed
    created, started, finished, received = (
        np.asarray(column)
        for column in (calls.created, calls.started, calls.finished, calls.received)
    )
    counted = (
        (opened <= finished) & (finished <= closed)
        if closed > opened
        else np.zeros(len(calls), dtype=bool)
    )
    samples = [sample for sample in step.samples if opened <= sample.time <= closed]
    allocation = _allocation(calls, _shares(step), samples, step.workers)
    _, queue = queue_over_time(step)
    return StepFigures(
        workers=step.workers,
        complete=step.complete,
        window=closed - opened,
        calls=int(counted.sum()),
        throughput=rate,
        ideal=ideal,
        efficiency=rate / ideal if ideal else None,
        spread=_spread(step),
        waiting=_percentiles(started[counted] - created[counted]),
        running=_percentiles(finished[counted] - started[counted]),
        returning=_percentiles(received[counted] - finished[counted]),
        total=_percentiles(received[counted] - created[counted]),
        allocation=allocation,
        unevenness=_unevenness(allocation, step.workers),
        cpu=_by_name(samples, lambda used: sum(usage.cpu for usage in used) / len(samples)),
        memory=_by_name(samples, lambda used: max(usage.memory for usage in used)),
        others=sum(sample.others for sample in samples) / (len(samples) or 1),
        queue=float(queue.mean()) if len(queue) else 0.0,
        messages=sum(sample.messages for sample in samples) / (len(samples) or 1),
        connections={
            owner: max(sample.connections.get(owner, 0) for sample in samples)
            for owner in in_natural_order(
                {owner for sample in samples for owner in sample.connections}
            )
        },
        failures=dict(step.failures),
        lost=step.lost,
        scaling=step.scaling,
    )


def _percentiles(durations: "Numbers") -> Percentiles | None:
    if not len(durations):
        return None
    # By the clocks of two machines, a call may seem to start before it was created.
    p50, p95, p99 = np.maximum(np.percentile(durations, [50, 95, 99]), 0.0).tolist()
    return Percentiles(p50, p95, p99)


def _spread(step: Step) -> tuple[float, float]:
    seconds, counts, _ = throughput_over_time(step)
    inside = counts[(seconds > 0) & (seconds + 0.5 <= step.closed - step.opened)]
    if not len(inside):
        return 0.0, 0.0
    low, high = np.percentile(inside, [5, 95]).tolist()
    return low, high


def _smoothed(counts: "Numbers") -> "Numbers":
    """Return a centred moving average, which takes fewer seconds near the ends."""
    total = np.concatenate([[0.0], np.cumsum(counts)])
    places = np.arange(len(counts))
    left = np.maximum(places - SMOOTHED_OVER // 2, 0)
    right = np.minimum(places + SMOOTHED_OVER // 2 + 1, len(counts))
    smoothed: Numbers = (total[right] - total[left]) / (right - left)
    return smoothed


def _allocation(
    calls: Calls, shares: "Numbers", samples: Sequence[Sample], workers: int
) -> dict[str, float]:
    found: dict[str, float] = {}
    # A name occurs twice if a process replaced another one.
    sums = np.bincount(
        np.asarray(calls.worker, dtype=int), weights=shares, minlength=len(calls.workers)
    ).tolist()
    for name, share in zip(calls.workers, sums, strict=True):
        found[name] = found.get(name, 0.0) + share
    for name in in_natural_order(
        {name for sample in samples for name in sample.usage if is_worker(name)}
    ):
        if len(found) < workers:
            found.setdefault(name, 0.0)
    return {name: found[name] for name in in_natural_order(found)}


def _unevenness(allocation: Mapping[str, float], workers: int) -> float | None:
    # Workers without a record ran nothing.
    shares = [*allocation.values(), *[0.0] * (workers - len(allocation))]
    mean = sum(shares) / len(shares)
    return (max(shares) - min(shares)) / mean if mean else None


def _by_name(
    samples: Sequence[Sample], figure: Callable[[list[Usage]], Figure]
) -> dict[str, Figure]:
    names = in_natural_order({name for sample in samples for name in sample.usage})
    return {
        name: figure([sample.usage[name] for sample in samples if name in sample.usage])
        for name in names
    }
