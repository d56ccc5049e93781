"""``python -m benchmarks.faults``: puts the library, Celery, Dask and Ray under the same faults.

A fault kills or freezes a process, empties Redis, or cancels a call.

    pip install -e ".[benchmarking]"
    python -m benchmarks.faults
    python -m benchmarks.faults --only celery,ray --faults worker-killed

Prints a Markdown table, and writes ``faults.md`` and ``faults.json``.
"""

import json
import time
from pathlib import Path

import click

from benchmarks import options
from benchmarks.choosing import from_option, select
from benchmarks.faults import report, stage
from benchmarks.faults.catalogue import FAULTS
from benchmarks.faults.runner import run
from benchmarks.faults.systems import SYSTEMS
from benchmarks.machine import describe_machine
from benchmarks.sessions.environments import default_folder
from distribute_challenge.cluster.redis_server import server_program

__all__ = ["main"]


@click.command()
@options.names("--only", "Systems")
@options.names("--faults", "Faults")
@click.option(
    "--at-once",
    default=2,
    show_default=True,
    type=click.IntRange(min=1),
    help="Rows made at the same time; take 1 for seconds that can be compared.",
)
@click.option(
    "--minutes",
    default=10.0,
    show_default=True,
    help="For all rows; what is not done then is left out.",
)
@options.output_folder("build/faults")
@options.environments("Dask and Ray")
@options.listing("systems and faults")
@click.option(
    "--table",
    type=options.FILE,
    help="Print the table of this JSON file again, and do nothing else.",
)
def main(
    only: str,
    faults: str,
    at_once: int,
    minutes: float,
    output: Path,
    environments: Path | None,
    listing: bool,
    table: Path | None,
) -> None:
    """Put this library and its peers under the same faults."""
    if listing:
        click.echo(f"systems: {', '.join(SYSTEMS)}")
        for fault in FAULTS.values():
            click.echo(f"{fault.name}: {fault.title}")
        return
    if table is not None:
        click.echo(report.as_markdown(json.loads(table.read_text())))
        return
    systems = from_option(lambda names: select(SYSTEMS, names, "system"), only, "--only")
    harm = from_option(lambda names: select(FAULTS, names, "fault"), faults, "--faults")
    output.mkdir(parents=True, exist_ok=True)
    machine, began = describe_machine(), time.monotonic()
    rows = run(
        systems,
        harm,
        at_once=at_once,
        seconds=60 * minutes,
        environments=environments or default_folder(),
        redis_server=server_program(),
        say=lambda line: click.echo(line, err=True),
    )
    options = {
        "at_once": at_once,
        "patience": stage.PATIENCE,
        "took_seconds": round(time.monotonic() - began),
    }
    found = {"machine": machine, "options": options, "rows": rows}
    (output / "faults.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    (output / "faults.md").write_text(report.as_markdown(found))
    click.echo(report.as_markdown(found))
    click.echo(f"wrote {output / 'faults.md'} and {output / 'faults.json'}", err=True)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.faults")
