"""``python -m benchmarks.peers``: measures the library beside its alternatives, in one run.

    pip install -e . && pip install --group peers
    python -m benchmarks.peers --workers 2

Prints a table, and writes ``peers.md``, ``peers.json``, ``peers.png`` and ``peers.svg``.
"""

from pathlib import Path

import click

from benchmarks import options
from benchmarks.choosing import from_option
from benchmarks.peers import benchmark, report
from benchmarks.peers import measurements as measuring
from benchmarks.peers.benchmark import BENCHMARK
from benchmarks.peers.catalogue import CATALOGUE, chosen
from benchmarks.peers.targets import OWN_MEASUREMENTS
from benchmarks.self import catalogue as own_catalogue
from benchmarks.sessions import results

__all__ = ["main"]


@click.command()
@options.workers("of each peer")
@options.names("--only", "Peers to measure")
@options.names("--measure", "Measurements to take, besides start and import")
@options.rounds("How often, one peer after the other.")
@click.option(
    "--seconds",
    default=benchmark.SECONDS,
    show_default=True,
    help="How long one measurement lasts, about.",
)
@options.output_folder("build/peers")
@options.environments("peers that need their own")
@options.listing("the peers")
@click.option(
    "--plot",
    type=options.FILE,
    help="Draw the chart and write the table of this JSON file again, beside it, "
    "and do nothing else.",
)
@options.targets
def main(
    workers: int,
    only: str,
    measure: str,
    rounds: int,
    seconds: float,
    output: Path,
    environments: Path | None,
    listing: bool,
    plot: Path | None,
    targets_of: Path | None,
) -> None:
    """Measure this library and its peers side by side."""
    if listing:
        for entry in CATALOGUE.values():
            click.echo(
                f"{entry.name}{'  (in an environment of its own)' if entry.requirements else ''}"
            )
        return
    if plot is not None:
        _write(results.load(plot), plot.parent, plot.stem)
        return
    if targets_of is not None:
        click.echo(BENCHMARK.targets_as_markdown(results.load(targets_of)))
        return
    entries = from_option(chosen, only, "--only")
    measurements = from_option(measuring.chosen, measure, "--measure")
    output.mkdir(parents=True, exist_ok=True)
    found = benchmark.measure(
        entries,
        measurements,
        [] if only or measure else own_catalogue.chosen(OWN_MEASUREMENTS),
        workers=workers,
        rounds=rounds,
        seconds=seconds,
        environments=environments,
        say=options.say,
    )
    results.save(found, output / "peers.json")
    click.echo(report.as_text(found))
    _write(found, output, "peers")


def _write(found: results.Run, folder: Path, name: str) -> None:
    table = folder / f"{name}.md"
    table.write_text(report.as_markdown(found))
    for path in [table, *BENCHMARK.draw(found, folder, name)]:
        click.echo(f"wrote {path}", err=True)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.peers")
