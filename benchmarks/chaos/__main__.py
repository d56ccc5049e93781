"""``python -m benchmarks.chaos``: breaks a cluster under load, at random: what is lost?

    pip install -e ".[benchmarking]"
    python -m benchmarks.chaos --minutes 10 --seed 7

``docs/reliability.md`` says what is promised, and what each kind of fault does.
"""

import random
import sys
import tempfile
from pathlib import Path

import click

from benchmarks.chaos.kinds import KINDS
from benchmarks.chaos.storm import Storm
from distribute_challenge.errors import DistributeChallengeError

__all__ = ["main"]

LARGEST_SEED = 999_999


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=5.0,
    show_default=True,
    help="How long there are faults.",
)
@click.option("--seed", type=int, help="Of faults and load. [default: drawn, and shown]")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="Workers, of one process each.",
)
@click.option(
    "--fault",
    "kinds",
    multiple=True,
    type=click.Choice(list(KINDS)),
    help="Only faults of this kind; may be given again.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.json",
    help="Where the result goes. [default: chaos-SEED.json]",
)
@click.option(
    "--logs",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep the logs of the cluster there. [default: a temporary folder]",
)
def main(
    minutes: float,
    seed: int | None,
    workers: int,
    kinds: tuple[str, ...],
    output: Path | None,
    logs: Path | None,
) -> None:
    """Break a cluster under load in every way, and count what is lost, hangs or runs twice."""
    drawn = kinds or tuple(KINDS)
    lacking = {kind: text for kind in drawn if (text := KINDS[kind].lacks())}
    if len(lacking) == len(drawn):
        raise click.ClickException(_lacks(lacking))
    if seed is None:
        seed = random.randrange(LARGEST_SEED)
    click.echo(f"seed {seed}, {workers} workers, faults for {minutes:g} min")
    if lacking:
        click.echo(f"left out: {_lacks(lacking)}")
    try:
        with tempfile.TemporaryDirectory(
            prefix="distribute_challenge_chaos_", ignore_cleanup_errors=True
        ) as folder:
            result = Storm(
                logs or Path(folder),
                seconds=minutes * 60,
                seed=seed,
                workers=workers,
                kinds=drawn,
                say=click.echo,
            ).run()
    except DistributeChallengeError as error:
        raise click.ClickException(str(error)) from None
    output = output or Path(f"chaos-{seed}.json")
    result.save(output)
    click.echo(f"\n{result.text()}\nwrote {output}")
    sys.exit(0 if result.passed else 1)


def _lacks(kinds: dict[str, str]) -> str:
    return "; ".join(f"{kind!r} (this machine lacks {text})" for kind, text in kinds.items())


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.chaos")
