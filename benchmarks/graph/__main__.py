"""``python -m benchmarks.graph``: measures calls that feed calls, beside Ray and Dask, in one run.

    pip install -e . && pip install --group peers
    python -m benchmarks.graph --workers 2

Prints a table, and writes ``graph.md`` and ``graph.json``.
"""

import sys
from pathlib import Path

import click

from benchmarks import options
from benchmarks.choosing import from_option
from benchmarks.graph import measurements as measuring
from benchmarks.graph import report
from benchmarks.graph.benchmark import BENCHMARK
from benchmarks.graph.benchmark import measure as measured
from benchmarks.graph.catalogue import CATALOGUE, chosen
from benchmarks.sessions import results
from benchmarks.sessions.benchmark import Amount

__all__ = ["main"]


@click.command()
@options.workers("of each system")
@options.names("--only", "Systems to measure")
@options.names("--measure", "Measurements to take")
@options.rounds("How often, one system after the other.")
@click.option("--quick", is_flag=True, help="Take small graphs, to see that all runs.")
@options.output_folder("build/graph")
@options.listing("the systems and of the measurements")
@options.targets
def main(
    workers: int,
    only: str,
    measure: str,
    rounds: int,
    quick: bool,
    output: Path,
    listing: bool,
    targets_of: Path | None,
) -> None:
    """Measure calls that feed calls, of this library, Ray and Dask."""
    if listing:
        click.echo("\n".join([*CATALOGUE, "", *measuring.MEASUREMENTS]))
        return
    if targets_of is not None:
        click.echo(BENCHMARK.targets_as_markdown(results.load(targets_of)))
        return
    entries = from_option(chosen, only, "--only")
    measurements = from_option(measuring.chosen, measure, "--measure")
    output.mkdir(parents=True, exist_ok=True)
    found = measured(entries, measurements, Amount(workers, rounds, quick), options.say)
    results.save(found, output / "graph.json")
    table = output / "graph.md"
    table.write_text(report.as_markdown(found))
    click.echo(report.as_text(found))
    click.echo(f"wrote {table}", err=True)
    sys.exit(any(record["errors"] for record in found["peers"].values()))


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.graph")
