"""Measures the throughput of a cluster at one size after the other, and plots it.

    python -m distribute_challenge.benchmarking.load --max-workers 4

``docs/benchmarks.md`` says what is measured, and how to read it.
"""

import logging
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from distribute_challenge import settings
from distribute_challenge.benchmarking.clusters import Cluster
from distribute_challenge.benchmarking.clusters.choice import KINDS, choose
from distribute_challenge.benchmarking.interruption import interruptible
from distribute_challenge.benchmarking.measuring.experiment import Experiment
from distribute_challenge.benchmarking.measuring.machine import machine
from distribute_challenge.benchmarking.measuring.progress import Progress
from distribute_challenge.benchmarking.measuring.workload import WORKLOADS
from distribute_challenge.benchmarking.recording import RUN_FILE, Plan, Run
from distribute_challenge.benchmarking.results import analysis, plots, report, table
from distribute_challenge.errors import DistributeChallengeError, SystemFailureError

FORMATS = ("png", "pdf", "svg")
#: Options that may change when a run is resumed: its sizes, but not what happens at each.
MAY_DIFFER = {"min_workers", "max_workers", "step"}
INTERRUPTED = 130  # Exit code of shells after Ctrl+C.


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--min-workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Size of the first step.",
)
@click.option(
    "--max-workers",
    type=click.IntRange(min=1),
    default=settings.worker_count,
    show_default="one per core",
    help="Size of the last step.",
)
@click.option(
    "--step",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Workers from one step to the next.",
)
@click.option(
    "--runtime",
    type=click.FloatRange(min=1),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long each step measures.",
)
@click.option(
    "--warm-up",
    type=click.FloatRange(min=0),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Under load, before each step measures.",
)
@click.option(
    "--workload",
    type=click.Choice(WORKLOADS),
    default="cpu",
    show_default=True,
    help="What a call does: keep a core busy, wait, nothing, or carry data there and back.",
)
@click.option(
    "--task-seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a call of cpu or sleep takes.",
)
@click.option(
    "--payload-bytes",
    type=click.IntRange(min=0),
    default=100_000,
    show_default=True,
    metavar="BYTES",
    help="What a call of payload carries.",
)
@click.option(
    "--cluster",
    "kind",
    type=click.Choice(KINDS),
    default="auto",
    show_default=True,
    help="Containers of Docker Compose, or worker processes on this machine; auto takes Compose if "
    "Docker answers.",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the record, the plots and the page go. [default: load-DATE-TIME]",
)
@click.option(
    "--formats",
    default="png",
    show_default=True,
    help=f"Of the plots, with commas: {', '.join(FORMATS)}.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with the run in --output: measure the sizes that it lacks.",
)
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="RUN.json",
    help="Measure nothing: draw the plots of an earlier run again.",
)
@click.option("--verbose", is_flag=True, help="Show what Docker Compose says.")
@click.pass_context
def load(
    context: click.Context,
    /,
    kind: str,
    output: Path | None,
    formats: str,
    resume: bool,
    plot: Path | None,
    verbose: bool,
    **planned: Any,
) -> None:
    """Measure how a cluster scales: keep 1, 2, 3 ... workers busy, and plot their throughput."""
    logging.basicConfig(format="%(message)s", level=logging.INFO if verbose else logging.WARNING)
    chosen = _formats(formats)
    try:
        plots.require()
        if plot is not None:
            _show(Run.load(plot), output or plot.parent, chosen)
            return
        folder = _folder(output, resume)
        earlier = Run.load(folder / RUN_FILE) if resume else None
        if earlier is not None:
            # Options that are not given stay as they were.
            before = {**asdict(earlier.plan), "kind": earlier.plan.cluster}
            said = {
                name
                for name in before
                if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
            }
            planned = {
                name: value if name in said else before[name] for name, value in planned.items()
            }
            kind = kind if "kind" in said else before["kind"]
        if planned["min_workers"] > planned["max_workers"]:
            raise click.BadParameter(
                f"{planned['min_workers']} is more than --max-workers {planned['max_workers']}",
                param_hint="--min-workers",
            )
        cluster, why = choose(
            kind, output=folder, longest_call=planned["task_seconds"], verbose=verbose
        )
        click.echo(why)
        plan = Plan(cluster=cluster.kind, **planned)
        run = Run(plan, {}, time.time()) if earlier is None else _resumed(earlier, plan, folder)
        code = _measure(run, cluster, folder)
        if run.steps:
            _show(run, folder, chosen)
    except DistributeChallengeError as error:
        raise click.ClickException(str(error)) from None
    sys.exit(code)


def _measure(run: Run, cluster: Cluster, folder: Path) -> int:
    """Carry out the plan, and return the exit code.

    Failures are printed and not raised, so that the caller still shows what was measured.
    """
    if not run.missing:
        click.echo("every size of the plan has been measured; a larger --max-workers measures more")
        return 0
    here = machine()
    code = 0
    with interruptible("the cluster is being taken down; this takes a few seconds"):
        try:
            with cluster:
                run.machine = {**here, **cluster.versions()}
                Experiment(
                    run,
                    cluster,
                    progress=Progress(sys.stderr),
                    save=lambda: run.save(folder),
                    headline=lambda step: f"{analysis.throughput(step):,.1f} calls/s",
                ).carry_out()
        except KeyboardInterrupt:
            cluster.stop()  # Ctrl+C may have interrupted the stop at the end of the block.
            click.echo("interrupted", err=True)
            code = INTERRUPTED
        except SystemFailureError as error:
            click.echo(f"Error: {error}", err=True)
            code = 1
    if run.steps:
        run.save_calls(folder)
    if code and run.steps:
        command = (
            f"python -m distribute_challenge.benchmarking.load --resume --output "
            f"{shlex.quote(str(folder))}"
        )
        click.echo(f"What was measured is kept. This goes on:\n\n    {command}\n", err=True)
    return code or int(any(step.failures or step.lost for step in run.steps))


def _show(run: Run, folder: Path, formats: Sequence[str]) -> None:
    """Write the plots and the page, and print the table."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in [*plots.draw(run, folder, formats), report.write(run, folder)]:
        click.echo(f"wrote {path}")
    click.echo(f"\n{table.summary(run)}")


def _formats(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    wrong = [name for name in names if name not in FORMATS]
    if wrong or not names:
        raise click.BadParameter(
            f"{text!r}: expected some of {', '.join(FORMATS)}", param_hint="--formats"
        )
    return names


def _folder(output: Path | None, resume: bool) -> Path:
    if output is None:
        if resume:
            raise click.UsageError(
                "--resume goes on with the run of a folder: name it with --output DIR"
            )
        return Path(f"load-{datetime.now():%Y%m%d-%H%M%S}")
    if not resume and (output / RUN_FILE).exists():
        raise click.UsageError(
            f"{output} holds a run already: add --resume to go on with it, or name another folder"
        )
    return output


def _resumed(run: Run, plan: Plan, folder: Path) -> Run:
    """Return an earlier run with a new plan, which may have other sizes.

    Raises:
        click.UsageError: The plan differs in more than its sizes.
    """
    before, now = asdict(run.plan), asdict(plan)
    differing = [
        f"{name}: {before[name]} then, {now[name]} now"
        for name in now
        if now[name] != before[name] and name not in MAY_DIFFER
    ]
    if differing:
        raise click.UsageError(
            f"the run in {folder} measured something else ({'; '.join(differing)}): leave these "
            f"options away, or name "
            f"another --output"
        )
    run.plan = plan
    return run


if __name__ == "__main__":
    load()
