"""Measures pieces of work on several systems that each piece starts by itself.

A measurement runs in a session of its own for each system and round, as those of
`benchmarks.graph` do. The rounds are interleaved, so that what else the machine does hits all.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from benchmarks.choosing import select
from benchmarks.machine import in_a_line
from benchmarks.markdown import markdown_table
from benchmarks.sessions import session
from benchmarks.sessions.benchmark import Amount, Benchmark, Say
from benchmarks.sessions.cells import factor, failures, full
from benchmarks.sessions.entry import OURS, Entry
from benchmarks.sessions.results import Figure, Run, ratio
from benchmarks.sessions.rounds import Plan
from benchmarks.sessions.runs import measured
from benchmarks.sessions.services import Services
from benchmarks.sessions.targets import Target

__all__ = ["Measurement", "SideBySide"]

QUICK = 0.01  # Factor for the sizes of the work, to see that all runs.
ONE_MACHINE = (
    "one process",
    "multiprocessing.Pool",
    "multiprocessing.Queue",
    "ProcessPoolExecutor",
    "loky",
    "Dask's threads",
)
"""Systems that have no other machines."""


@dataclass(frozen=True)
class Measurement:
    """One piece of work.

    Attributes:
        figure: What it yields; the key is the measurement's name.
        take: Returns the figure, before its scale is applied. It is called with the name of a
            system, the number of workers and the factor for the size of the work.
        systems: The systems to measure, the library first.
        deadline: Seconds after which it counts as hung.
    """

    figure: Figure
    take: Callable[[str, int, float], float]
    systems: Sequence[str]
    deadline: float = 900.0


class _System:
    """A system: there is nothing to start before its measurements, as each starts what it needs."""

    title: ClassVar[str]

    def __init__(self, services: Services) -> None:
        pass

    def start(self, workers: int) -> None:
        self.workers = workers
        os.environ["DISTRIBUTE_CHALLENGE_WORKERS"] = str(workers)

    def round_trip(self, value: int) -> int:
        return value

    def stop(self) -> None:
        """Do nothing: each measurement has ended what it started."""

    @classmethod
    def facts(cls) -> dict[str, Any]:
        return {"title": cls.title, "crosses_machines": cls.title not in ONE_MACHINE}


class _SystemEntry(Entry):
    def load(self) -> Any:
        return type("System", (_System,), {"title": self.name})


class SideBySide:
    """Measurements that have systems in common.

    Args:
        name: Name of the package: its module ``session`` calls `serve`.
        title: What is measured, for the chart.
        measurements: What to measure, in order.
        targets: What is to be reached.
        no_peers: Names of systems that are no peers, besides the library.

    Attributes:
        session: The module that runs in the process of a system.
    """

    def __init__(
        self,
        name: str,
        title: str,
        measurements: Iterable[Measurement],
        targets: Sequence[Target],
        no_peers: tuple[str, ...] = (),
    ) -> None:
        self.session = f"benchmarks.{name}.session"
        self.measurements = {each.figure.key: each for each in measurements}
        self.benchmark = Benchmark(
            name,
            title,
            self._measure_all,
            targets,
            [
                each.figure
                for each in self.measurements.values()
                if each.figure.is_compared and len(each.systems) > 1
            ],
            (OURS, *no_peers),
        )

    def chosen(self, names: Sequence[str]) -> list[Measurement]:
        """Return the measurements with these names, in their order; all if no name is given.

        Raises:
            KeyError: No measurement has one of the names.
        """
        return select(self.measurements, names, "measurement")

    def measure(
        self,
        measurements: Sequence[Measurement],
        *,
        workers: int,
        rounds: int,
        scale: float,
        say: Say,
    ) -> Run:
        """Measure systems.

        Args:
            measurements: What to measure, in order.
            workers: Worker processes of each system.
            rounds: How often each system is measured.
            scale: Factor for the sizes of the work.
            say: Gets lines of text that tell the user how far the run is.
        """
        names = [each.figure.key for each in measurements]
        systems = list(dict.fromkeys(name for each in measurements for name in each.systems))
        plan = Plan(
            session=self.session,
            groups=[[name] for name in names],
            deadline=lambda name: self.measurements[name].deadline,
            order={"scale": scale},
            absent={
                system: {
                    each.figure.key: "not measured"
                    for each in measurements
                    if system not in each.systems
                }
                for system in systems
            },
        )
        return measured(
            [_SystemEntry(system, "") for system in systems],
            plan,
            workers=workers,
            rounds=rounds,
            say=say,
            scale=scale,
            small=scale < 1,
            measurements=names,
        )

    def serve(self, system: str, workers: int) -> None:
        """Carry out orders in the process of a system, until one says stop.

        Args:
            system: Name of the system.
            workers: How many worker processes it gets.
        """
        session.main(_SystemEntry(system, ""), workers, partial(self._take, system))

    def as_markdown(self, run: Run) -> str:
        """Return the machine, the medians with their spread, and what failed and why."""
        shown = [self.measurements[name] for name in run["options"]["measurements"]]
        parts = [
            f"{in_a_line(run['machine'])}, load before {run['machine']['load_average_before']}",
            markdown_table(
                ["what", "on", "median", f"how many times better {OURS} is"],
                [row for each in shown for row in _rows(run, each)],
            ),
        ]
        if run["options"]["scale"] != 1:
            parts.append(f"Sizes are those of the table, times {run['options']['scale']:g}.")
        failed = [line for name in run["peers"] for line in failures(run, name)]
        if failed:
            parts.append("\n".join(f"- {line}" for line in failed))
        return "\n\n".join(parts) + "\n"

    def _measure_all(self, amount: Amount, say: Say) -> Run:
        return self.measure(
            list(self.measurements.values()),
            workers=amount.workers,
            rounds=amount.rounds,
            scale=QUICK if amount.quick else 1.0,
            say=say,
        )

    def _take(self, system: str, peer: _System, order: Mapping[str, Any]) -> dict[str, Any]:
        name = order["do"]
        return {name: self.measurements[name].take(system, peer.workers, order["scale"])}


def _rows(run: Run, measurement: Measurement) -> list[list[str]]:
    figure = measurement.figure
    return [
        [
            figure.heading,
            system,
            full(run, system, figure),
            factor(None if system == OURS else ratio(run, system, figure)),
        ]
        for system in measurement.systems
    ]
