"""``python -m benchmarks.soak``: makes millions of calls, and watches memory: does anything grow?

pip install -e ".[benchmarking]"
python -m benchmarks.soak --calls 10_000_000
"""

import sys
from pathlib import Path

import click

from benchmarks.soak.run import MEGABYTE, soak_cluster
from distribute_challenge import settings
from distribute_challenge.benchmarking.clusters.local import LocalWorkers
from distribute_challenge.errors import DistributeChallengeError

__all__ = ["main"]


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--calls",
    type=click.IntRange(min=1),
    default=10_000_000,
    show_default="10_000_000",
    help="How many; half of them by map.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=settings.worker_count,
    show_default="one per core",
    help="Worker processes.",
)
@click.option(
    "--every",
    type=click.FloatRange(min=0, min_open=True),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Between two looks at memory.",
)
@click.option(
    "--bound",
    type=click.FloatRange(min=0),
    default=20.0,
    show_default=True,
    metavar="MB",
    help="A process that grows by more, once it is warm, fails.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("soak.json"),
    show_default=True,
    metavar="FILE.json",
    help="Where the result goes.",
)
def main(calls: int, workers: int, every: float, bound: float, output: Path) -> None:
    """Make millions of calls: do client, workers or Redis grow, and what is left in Redis?"""
    try:
        result = soak_cluster(
            LocalWorkers(),
            calls=calls,
            workers=workers,
            every=every,
            bound=bound * MEGABYTE,
            say=click.echo,
        )
    except DistributeChallengeError as error:
        raise click.ClickException(str(error)) from None
    result.save(output)
    click.echo(f"\n{result.text()}\nwrote {output}")
    sys.exit(0 if result.passed else 1)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.soak")
