"""``python -m benchmarks.self``: measures the library's main figures, and compares two runs.

    pip install -e ".[benchmarking]"
    python -m benchmarks.self --output now.json
    python -m benchmarks.self --compare before.json now.json
    python -m benchmarks.self --where --only round_trip

Prints a Markdown table. The comparison ends with exit code 1 if a figure got worse.
"""

import sys
from functools import partial
from pathlib import Path

import click

from benchmarks import options
from benchmarks.choosing import from_option
from benchmarks.self.catalogue import CATALOGUE, chosen
from benchmarks.self.comparison import changes
from benchmarks.self.report import comparison_as_markdown, run_as_markdown
from benchmarks.self.results import Results
from benchmarks.self.runner import run, session
from benchmarks.self.where import catalogue as where
from benchmarks.self.where.report import breakdown_as_markdown

__all__ = ["main"]


@click.command()
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File for all raw figures. [default: build/self.json; with --where, build/where.json]",
)
@options.rounds("How often each is measured.")
@options.workers("where their number is open")
@options.names("--only", "Measurements")
@click.option("--quick", is_flag=True, help="Leave out those that take long.")
@options.listing("the measurements")
@click.option(
    "--compare",
    nargs=2,
    type=options.FILE,
    metavar="OLD NEW",
    help="Compare two such files, and measure nothing.",
)
@click.option(
    "--where",
    "is_where",
    is_flag=True,
    help="Show where the time of a call goes: its stages, processes, and commands of Redis. Of "
    f"{', '.join(where.CATALOGUE)}.",
)
def main(
    output: Path | None,
    rounds: int,
    workers: int,
    only: str,
    quick: bool,
    listing: bool,
    compare: tuple[Path, Path] | None,
    is_where: bool,
) -> None:
    """Measure this library, and compare it with an earlier state."""
    if listing:
        for measurement in (where.CATALOGUE if is_where else CATALOGUE).values():
            click.echo(f"{measurement.name}{'  (long)' if measurement.is_long else ''}")
        return
    if compare is not None:
        old, new = map(Results.load, compare)
        click.echo(comparison_as_markdown(old, new))
        sys.exit(any(change.is_worse for change in changes(old, new)))
    choose, ask, as_markdown = partial(chosen, quick=quick), session, run_as_markdown
    if is_where:
        choose, as_markdown = where.chosen, breakdown_as_markdown
        ask = partial(session, module="benchmarks.self.where.session")
    results = run(
        from_option(choose, only, "--only"),
        workers=workers,
        rounds=rounds,
        say=lambda line: click.echo(line, err=True),
        ask=ask,
    )
    output = output or Path("build", "where.json" if is_where else "self.json")
    results.save(output)
    click.echo(as_markdown(results))
    click.echo(f"wrote {output}", err=True)
    sys.exit(bool(results.errors))


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.self")
