"""Says in words what a run shows about the number of workers, for the table and the page."""

from collections.abc import Sequence

from distribute_challenge.benchmarking.recording import Run
from distribute_challenge.benchmarking.results.analysis import StepFigures
from distribute_challenge.core.units import amount, percent, rate

__all__ = ["cores", "disturbance", "growth", "limit", "mishaps", "subject"]

# Guesses, as shares of the best throughput: from the first on, a size is as good as the best one;
# below the second, it is worse.
AS_GOOD = 0.95
WORSE = 0.90
# A guess: more workers that bring less than this share of what they could bring are not worth it.
WORTH_HAVING = 0.5
# A guess: workers that keep less than this share of the possible cores busy are not the limit.
BUSY = 0.5
# A guess: other programs that keep more than this share of the cores busy change the figures.
DISTURBING = 0.1


def cores(run: Run) -> int | None:
    """Return the number of cores, if they limit the workload and their number is known."""
    found = run.machine.get("cores")
    return found if run.plan.workload == "cpu" and isinstance(found, int) else None


def subject(run: Run) -> str:
    """Say what was measured.

    Examples:
        >>> from distribute_challenge.benchmarking.recording import Plan
        >>> plan = Plan(cluster="compose", workload="sleep", task_seconds=1.0, payload_bytes=0, min_workers=1,
        ...             max_workers=6, step=1, runtime=30.0, warm_up=5.0)
        >>> subject(Run(plan, {}, 0.0))
        'calls that sleep for 1 s, on Docker Compose'
    """
    plan = run.plan
    what = {
        "cpu": f"keep a core busy for {plan.task_seconds:g} s",
        "sleep": f"sleep for {plan.task_seconds:g} s",
        "noop": "do nothing",
        "payload": f"carry {plan.payload_bytes:,} bytes there and back",
    }
    where = {"compose": "Docker Compose", "local": "the embedded cluster"}
    return (
        f"calls that {what.get(plan.workload, plan.workload)}, "
        f"on {where.get(plan.cluster, plan.cluster)}"
    )


def growth(run: Run, steps: Sequence[StepFigures]) -> str:
    """Say in a sentence how throughput changes with the number of workers.

    Args:
        run: Run that the figures come from.
        steps: The figures.
    """
    measured = [step for step in steps if step.complete] or [step for step in steps if step.window]
    if not measured:
        return "Nothing was measured to its end."
    best = max(measured, key=lambda step: step.throughput)
    if not best.throughput:
        return "No call came to its end while it was measured."
    first, last = measured[0], measured[-1]
    if first is last:
        return f"{_with(run, last)}."
    if (dip := _dip(measured)) is not None:
        peak, low, later = dip
        return (
            f"Throughput does not grow evenly: {_with(run, peak)}, {rate(low.throughput)} with "
            f"{low.workers} and "
            f"{rate(later.throughput)} with {later.workers}. So this run does not tell how many "
            f"workers are enough: measure again "
            f"on a machine that does nothing else, with a longer --runtime."
        )
    enough = next(step for step in measured if _as_good(step, best))
    if enough is last:
        return (
            f"Throughput grows up to {amount(last.workers, 'worker')}, the most that were "
            f"measured: {_with(run, last)}."
        )
    falls = last.throughput < WORSE * best.throughput
    ends = f"{_with(run, enough)}, {rate(last.throughput)} with {last.workers}"
    if enough is first:
        return f"More workers than {first.workers} bring {'less' if falls else 'no more'}: {ends}."
    limit = ", as many as the machine has cores," if enough.workers == cores(run) else ""
    after = "falls after that" if falls else "stays there"
    return f"Throughput grows up to {amount(enough.workers, 'worker')}{limit} and {after}: {ends}."


def limit(run: Run, steps: Sequence[StepFigures]) -> str:
    """Say in a sentence what limits throughput, if it is not the workers.

    The text is empty if the workers are the limit, or if the limit is not known.

    Args:
        run: Run that the figures come from.
        steps: The figures.
    """
    # Calls that sleep leave workers idle, and calls that keep a core busy cannot.
    if run.plan.workload not in ("noop", "payload"):
        return ""
    known = [step for step in steps if step.complete and step.cpu and step.calls]
    if not known:
        return ""
    last, all_cores = known[-1], run.machine.get("cores")
    possible = min(last.workers, all_cores) if isinstance(all_cores, int) else last.workers
    if last.worker_cpu >= BUSY * possible:
        return ""
    return (
        f"It is not the workers that limit it: {amount(last.workers, 'worker')} kept "
        f"{last.worker_cpu:.2f} cores busy. "
        f"Calls did not come or go faster, so look at the client and the broker."
    )


def disturbance(run: Run, steps: Sequence[StepFigures]) -> str:
    """Say in a sentence how far other programs disturbed the run.

    The text is empty if they hardly did, or if the number of cores is not known.

    Args:
        run: Run that the figures come from.
        steps: The figures.
    """
    all_cores = run.machine.get("cores")
    if not isinstance(all_cores, int) or not steps:
        return ""
    worst = max(steps, key=lambda step: step.others)
    if worst.others <= DISTURBING * all_cores:
        return ""
    return (
        f"The machine was not quiet: other programs kept up to {worst.others:.1f} of its "
        f"{amount(all_cores, 'core')} busy "
        f"(with {amount(worst.workers, 'worker')}), so these figures are lower than they could be."
    )


def mishaps(steps: Sequence[StepFigures]) -> list[str]:
    """Say what went wrong, in a sentence each; empty if nothing did.

    Args:
        steps: The figures of a run.
    """
    sentences = []
    if lost := sum(step.lost for step in steps):
        sentences.append(f"{amount(lost, 'call')} never came back.")
    if failed := sum(sum(step.failures.values()) for step in steps):
        kinds = {kind: 0 for step in steps for kind in step.failures}
        for step in steps:
            for kind, count in step.failures.items():
                kinds[kind] += count
        sentences.append(
            f"{amount(failed, 'call')} failed: "
            f"{', '.join(f'{kind} ({n:,})' for kind, n in kinds.items())}."
        )
    if cut := [str(step.workers) for step in steps if not step.complete]:
        what = "step" if len(cut) == 1 else "steps"
        sentences.append(
            f"Not measured to the end: the {what} with {_listed(cut)} "
            f"{'worker' if cut == ['1'] else 'workers'}."
        )
    return sentences


def _dip(steps: Sequence[StepFigures]) -> tuple[StepFigures, StepFigures, StepFigures] | None:
    """Find a dip in throughput that no number of workers explains; None if there is none.

    Returns:
        The best step before it, the lowest step in it, and the best step after it.
    """
    for place in range(1, len(steps) - 1):
        low = steps[place]
        before, after = (
            max(part, key=lambda step: step.throughput)
            for part in (steps[:place], steps[place + 1 :])
        )
        if low.throughput < WORSE * min(before.throughput, after.throughput):
            return before, low, after
    return None


def _as_good(step: StepFigures, best: StepFigures) -> bool:
    """Return whether a size does about as much as the best one, which may have more workers.

    It does not if the additional workers of the best one bring enough to be worth having.
    """
    brought = best.throughput - step.throughput
    hoped_for = step.throughput * (best.workers / step.workers - 1)
    return brought <= (1 - AS_GOOD) * best.throughput and (
        brought <= WORTH_HAVING * hoped_for or step.workers > best.workers
    )


def _with(run: Run, step: StepFigures) -> str:
    """Say what throughput one size gives, and how good that is."""
    text = f"{rate(step.throughput)} calls per second with {amount(step.workers, 'worker')}"
    if run.plan.workload == "sleep" and step.ideal:
        return f"{text}, {percent(step.efficiency)} of the ideal {rate(step.ideal)}"
    return text


def _listed(words: Sequence[str]) -> str:
    """Join words with commas and an "and".

    Examples:
        >>> _listed(["1", "2", "3"])
        '1, 2 and 3'
    """
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
