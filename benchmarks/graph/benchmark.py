"""The benchmark as a whole: what it measures, and what is to be reached."""

from collections.abc import Callable, Sequence

from benchmarks.graph import measurements as measuring
from benchmarks.graph.catalogue import chosen
from benchmarks.graph.figures import FIGURES
from benchmarks.graph.measurements import Measurement
from benchmarks.graph.plan import plan
from benchmarks.graph.targets import TARGETS
from benchmarks.sessions.benchmark import Amount, Benchmark
from benchmarks.sessions.entry import Entry
from benchmarks.sessions.results import Run
from benchmarks.sessions.runs import measured

__all__ = ["BENCHMARK", "measure"]

CHARTED = ("tree", "chain", "fan_out", "layers")


def measure(
    entries: Sequence[Entry],
    measurements: Sequence[Measurement],
    amount: Amount,
    say: Callable[[str], None],
) -> Run:
    """Measure systems.

    Args:
        entries: Systems to measure, in order.
        measurements: What to measure, in order.
        amount: How much.
        say: Gets lines of text that tell the user how far the run is.
    """
    return measured(
        entries,
        plan(measurements, quick=amount.quick),
        workers=amount.workers,
        rounds=amount.rounds,
        say=say,
        quick=amount.quick,
        small=amount.quick,
        measurements=[measurement.name for measurement in measurements],
    )


BENCHMARK = Benchmark(
    "graph",
    "Graphs of calls",
    lambda amount, say: measure(chosen([]), measuring.chosen([]), amount, say),
    TARGETS,
    [figure for figure in FIGURES if figure.key in CHARTED],
)
