"""One of the benchmarks that compare the library with others: what the command for all needs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.sessions import chart
from benchmarks.sessions.entry import OURS
from benchmarks.sessions.results import Figure, Run
from benchmarks.sessions.targets import Judged, Target, as_markdown, judged

__all__ = ["Amount", "Benchmark", "Say"]

Say = Callable[[str], None]
"""Gets lines of text that tell the user how far a run is."""


class Amount(NamedTuple):
    """How much is measured.

    Attributes:
        workers: Worker processes of each system.
        rounds: How often each system is measured.
        quick: Whether the work is small, to see that all runs.
    """

    workers: int
    rounds: int
    quick: bool


@dataclass(frozen=True)
class Benchmark:
    """A benchmark.

    Attributes:
        name: Its name for ``--only``, as in ``python -m benchmarks.NAME``.
        title: What it measures, for its chart.
        measure: Measures all systems, and returns the run.
        targets: What is to be reached.
        charted: The figures of its chart.
        no_peers: Beginnings of the names of systems that are no peers.
    """

    name: str
    title: str
    measure: Callable[[Amount, Say], Run]
    targets: Sequence[Target]
    charted: Sequence[Figure]
    no_peers: tuple[str, ...] = (OURS,)

    def judged(self, run: Run) -> list[Judged]:
        """Look up each target in a run."""
        return judged(run, self.targets, self.no_peers)

    def targets_as_markdown(self, run: Run) -> str:
        """Return the table of the targets, and what a run says was reached."""
        return as_markdown(run, self.targets, self.no_peers)

    def draw(self, run: Run, folder: Path, name: str = "") -> list[Path]:
        """Draw a run into a folder, as PNG and as SVG.

        Args:
            run: The run.
            folder: Where to write.
            name: Name of the files; by default that of the benchmark.

        Returns:
            The paths of both; none if the run has none of the figures.
        """
        return chart.draw(run, self.charted, folder, name or self.name, self.title)
