"""The command of a benchmark that is a `SideBySide`."""

import sys
from pathlib import Path

import click

from benchmarks import options
from benchmarks.choosing import from_option
from benchmarks.sessions import results
from benchmarks.sessions.side_by_side import SideBySide

__all__ = ["command"]


def command(side_by_side: SideBySide, text: str) -> click.Command:
    """Return the command: it prints a table, and writes it and a JSON file into a folder.

    Args:
        side_by_side: What it measures.
        text: What it does, in one line.
    """
    benchmark = side_by_side.benchmark
    name = benchmark.name

    @click.command(f"benchmarks.{name}", help=text)
    @options.workers("of each system")
    @options.names("--only", "Measurements")
    @options.rounds("How often, one system after the other.")
    @click.option(
        "--scale",
        default=1.0,
        show_default=True,
        type=click.FloatRange(0, min_open=True),
        help="Factor for the sizes of the work.",
    )
    @options.output_folder(f"build/{name}")
    @options.listing("the measurements")
    @options.targets
    def main(
        workers: int,
        only: str,
        rounds: int,
        scale: float,
        output: Path,
        listing: bool,
        targets_of: Path | None,
    ) -> None:
        if listing:
            click.echo("\n".join(side_by_side.measurements))
            return
        if targets_of is not None:
            click.echo(benchmark.targets_as_markdown(results.load(targets_of)))
            return
        measurements = from_option(side_by_side.chosen, only, "--only")
        output.mkdir(parents=True, exist_ok=True)
        found = side_by_side.measure(
            measurements, workers=workers, rounds=rounds, scale=scale, say=options.say
        )
        results.save(found, output / f"{name}.json")
        table = output / f"{name}.md"
        table.write_text(side_by_side.as_markdown(found))
        click.echo(table.read_text())
        click.echo(f"wrote {table}", err=True)
        sys.exit(any(record["errors"] for record in found["peers"].values()))

    return main
