"""Measures one piece of work on several systems, in turn, and shows a table.

Each measurement runs in a process of its own. The rounds are interleaved, so that what else the
machine does hits all systems.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

import click

from benchmarks.markdown import markdown_table

__all__ = ["Measurement", "SideBySide"]

TIMEOUT = 900  # Seconds for one process.


class Measurement(NamedTuple):
    """One piece of work.

    Args:
        text: What it is, for the table.
        measure: Returns the seconds that it takes; called with the name of a system, the number of
            workers and the factor for its size.
        systems: The systems to measure, the library first.
    """

    text: str
    measure: Callable[[str, int, float], float]
    systems: Sequence[str]


class SideBySide:
    """A command that measures; each module with measurements has one.

    Args:
        module: Name of the module, as ``python -m`` takes it.
        measurements: What to measure, by name.
    """

    def __init__(self, module: str, measurements: dict[str, Measurement]) -> None:
        self._module = module
        self._measurements = measurements

    def command(self, help: str) -> click.Command:  # noqa: A002 - click's word
        """Return the command.

        Args:
            help: What it does, in one line.
        """
        return click.Command(
            self._module,
            params=[
                click.Option(["--workers"], default=2, show_default=True, type=click.IntRange(1)),
                click.Option(["--rounds"], default=3, show_default=True, type=click.IntRange(1)),
                click.Option(
                    ["--scale"],
                    default=1.0,
                    show_default=True,
                    type=click.FloatRange(0, min_open=True),
                    help="Factor for the sizes of the work.",
                ),
                click.Option(["--only"], type=click.Choice(list(self._measurements))),
                click.Option(["--on"], hidden=True, help="Measure this system, in this process."),
            ],
            callback=self._run,
            help=help,
        )

    def _run(
        self, workers: int, rounds: int, scale: float, only: str | None, on: str | None
    ) -> None:
        if on is not None and only is not None:
            click.echo(json.dumps(self._measurements[only].measure(on, workers, scale)))
            return
        names = [only] if only else list(self._measurements)
        found: dict[tuple[str, str], list[float]] = {}
        for number in range(rounds):
            for name in names:
                for system in self._measurements[name].systems:
                    seconds = self._measured(name, system, workers, scale)
                    click.echo(f"round {number + 1}: {name} on {system}: {seconds:.2f} s", err=True)
                    found.setdefault((name, system), []).append(seconds)
        click.echo(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n", err=True)
        rows = [row for name in names for row in self._rows(name, scale, found)]
        click.echo(markdown_table(["what", "on", "median", "takes relative to ours"], rows))

    def _rows(
        self, name: str, scale: float, found: dict[tuple[str, str], list[float]]
    ) -> list[list[str]]:
        text, _, systems = self._measurements[name]
        if scale != 1:
            text += f", scaled by {scale:g}"
        ours = median(found[name, systems[0]])
        return [
            [
                text,
                system,
                f"{median(each):.2f} s ({min(each):.2f} to {max(each):.2f})",
                f"{median(each) / ours:.2f}",
            ]
            for system in systems
            for each in [found[name, system]]
        ]

    def _measured(self, name: str, system: str, workers: int, scale: float) -> float:
        command = [sys.executable, "-m", self._module, "--only", name, "--on", system]
        command += ["--workers", str(workers), "--scale", str(scale)]
        environment = {**os.environ, "DISTRIBUTE_CHALLENGE_WORKERS": str(workers)}
        run = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, timeout=TIMEOUT, check=True
        )
        return float(json.loads(run.stdout))
