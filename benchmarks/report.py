"""Writes the runs of several benchmarks as one table: what was to be reached, and what was."""

from collections.abc import Iterator, Mapping

from benchmarks.machine import in_a_line
from benchmarks.markdown import markdown_table
from benchmarks.sessions.benchmark import Benchmark
from benchmarks.sessions.cells import failures
from benchmarks.sessions.results import Run
from benchmarks.sessions.targets import HEADS

__all__ = ["as_markdown"]


def as_markdown(benchmarks: Mapping[str, Benchmark], runs: Mapping[str, Run]) -> str:
    """Return the machine, the table of all targets, how many were reached, and what failed.

    Args:
        benchmarks: The benchmarks, by name.
        runs: Their runs, at least one, by the same names.
    """
    judged = [(name, each) for name, run in runs.items() for each in benchmarks[name].judged(run)]
    reached, missed = (
        sum(each.verdict == verdict for _, each in judged) for verdict in ("yes", "no")
    )
    parts = [
        *_machines(runs),
        markdown_table(["", *HEADS], [[name, *each.cells()] for name, each in judged]),
        (
            f"{reached} of {len(judged)} reached, {missed} missed, "
            f"{len(judged) - reached - missed} not measured, or not as the table says."
        ),
    ]
    failed = [
        f"- {name}: {line}"
        for name, run in runs.items()
        for system in run["peers"]
        for line in failures(run, system)
    ]
    if failed:
        parts.append("\n".join(failed))
    return "\n\n".join(parts) + "\n"


def _machines(runs: Mapping[str, Run]) -> Iterator[str]:
    """Yield what is to be known of the runs before their figures are read."""
    machine, options = next(iter(runs.values()))["machine"], next(iter(runs.values()))["options"]
    loads = [run["machine"]["load_average_before"] for run in runs.values()]
    yield (
        f"{in_a_line(machine)}; {options['workers']} worker processes; medians of interleaved "
        f"rounds: {options['rounds']}; load of the machine before: {min(loads)} to {max(loads)}."
    )
    small = [name for name, run in runs.items() if run["options"].get("small")]
    if small:
        yield (
            f"Less work than the table says ({', '.join(small)}): these figures show only that all "
            "runs."
        )
