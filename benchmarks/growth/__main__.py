"""``python -m benchmarks.growth``: measures how the cost of calls grows with what grows.

    pip install -e ".[benchmarking]"
    python -m benchmarks.growth
    python -m benchmarks.growth --plot build/growth/growth.json --output docs/images

Prints tables, and writes ``growth.json``, ``growth.md`` and a chart for each thing that grows.
"""

import json
import sys
from pathlib import Path
from typing import Any

import click

from benchmarks import options
from benchmarks.choosing import from_option
from benchmarks.growth import chart
from benchmarks.growth.report import as_markdown
from benchmarks.growth.runner import run
from benchmarks.growth.sweeps import SWEEPS, chosen

__all__ = ["main"]

STANDING = "standing"  # What is no sweep, for `--only`.
QUICK, LONG = 1.0, 20.0  # Seconds of a load with --quick; of a cluster that has nothing to do.


@click.command()
@options.names("--only", f"What grows: {', '.join(SWEEPS)}; or {STANDING}, what idle clusters need")
@options.workers("where they are not what grows")
@click.option(
    "--seconds", default=5.0, show_default=True, help="How long one load lasts, at least."
)
@click.option("--quick", is_flag=True, help="Take few, small values, for a second each.")
@options.output_folder("build/growth")
@click.option(
    "--plot",
    type=options.FILE,
    metavar="RUN.json",
    help="Measure nothing; draw the charts of an earlier run again, into the folder for results.",
)
def main(
    only: str, workers: int, seconds: float, quick: bool, output: Path, plot: Path | None
) -> None:
    """Measure how the cost of calls grows: with workers, clients, calls in flight, and sizes."""
    output.mkdir(parents=True, exist_ok=True)
    if plot is not None:
        _draw(json.loads(plot.read_text()), output)
        return
    names = [name for each in only.split(",") if (name := each.strip())]
    sweeps = [name for name in names if name != STANDING]
    chosen_sweeps = from_option(chosen, ",".join(sweeps), "--only") if sweeps or not names else []
    found = run(
        chosen_sweeps,
        workers=workers,
        seconds=QUICK if quick else seconds,
        quick=quick,
        standing=(QUICK if quick else LONG) if STANDING in names or not names else None,
        say=lambda line: click.echo(line, err=True),
    )
    text = as_markdown(found)
    click.echo(text)
    for path, content in (
        (output / "growth.json", json.dumps(found, indent=1, ensure_ascii=False)),
        (output / "growth.md", text),
    ):
        path.write_text(content + "\n")
        click.echo(f"wrote {path}", err=True)
    _draw(found, output)
    sys.exit("FAILED" in text)


def _draw(found: dict[str, Any], folder: Path) -> None:
    for path in chart.draw(found, folder):
        click.echo(f"wrote {path}", err=True)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.growth")
