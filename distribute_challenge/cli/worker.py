"""``distribute-challenge worker``."""

import sys

import click

from distribute_challenge import settings
from distribute_challenge.cli.broker import broker_option, check_secret, checked_broker

__all__ = ["worker"]


@click.command()
@broker_option
@click.option("--concurrency", "-c", type=click.IntRange(min=1), help="Worker processes. [default: one per core]")
@click.option(
    "--queues",
    "-Q",
    default=settings.DEFAULT_QUEUE,
    show_default=True,
    help="Queues to serve, with commas between them.",
)
@click.option("--name", "-n", default="worker", show_default=True, help="Name of this worker, unique on its machine.")
@click.option(
    "--loglevel",
    "-l",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"], case_sensitive=False),
    default="INFO",
    show_default=True,
    help="What to log.",
)
def worker(broker: str | None, concurrency: int | None, queues: str, name: str, loglevel: str) -> None:
    """Start a worker that runs calls, until Ctrl+C or SIGTERM; what runs then is finished first."""
    names = [queue.strip() for queue in queues.split(",") if queue.strip()]
    if not names:
        raise click.BadParameter(f"{queues!r} names no queue", param_hint="--queues")
    url = checked_broker(broker)
    check_secret(url)
    processes = concurrency or settings.worker_count()
    click.echo(f"worker {name}: {processes} processes, queues {', '.join(names)}, broker {settings.masked(url)}")
    from distribute_challenge.execution_backends.celery.worker import run_worker

    sys.exit(run_worker(url, concurrency=processes, queues=names, name=name, loglevel=loglevel.upper()))
