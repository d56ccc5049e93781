"""``python -m benchmarks``: compares the library with others, and shows what was reached.

    pip install -e ".[benchmarking,joblib,dask,ray]" scikit-learn pandas pyarrow
    pip install --group peers
    python -m benchmarks --workers 2                      # all, three rounds: hours
    python -m benchmarks --only queues,faces --rounds 1
    python -m benchmarks --from build/benchmarks.json     # the table again, nothing is measured

Prints one table of all targets. All figures are in the JSON file; charts are drawn from it.
"""

import json
import sys
from pathlib import Path

import click

from benchmarks import options, report
from benchmarks.catalogue import CATALOGUE, chosen
from benchmarks.choosing import from_option
from benchmarks.sessions.benchmark import Amount
from benchmarks.sessions.results import Run

__all__ = ["main"]


@click.command()
@options.workers("of each system")
@options.names("--only", "Benchmarks")
@options.rounds("How often each system is measured.")
@click.option("--quick", is_flag=True, help="Take little work, to see that all runs.")
@click.option(
    "--json",
    "output",
    default="build/benchmarks.json",
    show_default=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="File for all figures; written after each benchmark.",
)
@click.option(
    "--from",
    "stored",
    type=options.FILE,
    help="Take the figures of this file, and measure nothing.",
)
@click.option(
    "--charts",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to draw a chart of each benchmark into.",
)
@options.listing("the benchmarks")
def main(
    workers: int,
    only: str,
    rounds: int,
    quick: bool,
    output: Path,
    stored: Path | None,
    charts: Path | None,
    listing: bool,
) -> None:
    """Compare this library with others, and show what was to be reached, and what was."""
    if listing:
        click.echo("\n".join(CATALOGUE))
        return
    benchmarks = from_option(chosen, only, "--only")
    runs: dict[str, Run] = {}
    if stored is not None:
        found = json.loads(stored.read_text())
        runs = {each.name: found[each.name] for each in benchmarks if each.name in found}
        if not runs:
            raise click.BadParameter(
                f"{stored} has {', '.join(found)}, and nothing of {only or 'the benchmarks'}",
                param_hint="--from",
            )
    else:
        output.parent.mkdir(parents=True, exist_ok=True)
        for each in benchmarks:
            options.say(f"{each.name}:")
            runs[each.name] = each.measure(Amount(workers, rounds, quick), options.say)
            output.write_text(json.dumps(runs, indent=1, ensure_ascii=False) + "\n")
        options.say(f"wrote {output}")
    click.echo(report.as_markdown(CATALOGUE, runs), nl=False)
    if charts is not None:
        charts.mkdir(parents=True, exist_ok=True)
        for name, run in runs.items():
            for path in CATALOGUE[name].draw(run, charts):
                options.say(f"wrote {path}")
    sys.exit(stored is None and any(map(_failed, runs.values())))


def _failed(run: Run) -> bool:
    return any(record["errors"] for record in run["peers"].values())


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
