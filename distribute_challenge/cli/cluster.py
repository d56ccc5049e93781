"""``distribute-challenge cluster``."""

import signal
import sys
import threading

import click

from distribute_challenge import settings
from distribute_challenge.errors import DistributeChallengeError

__all__ = ["cluster"]

LOOK_EVERY = 0.5  # Seconds between two looks whether it still lives.


@click.command()
@click.option("--workers", "-w", type=click.IntRange(min=1), help="Worker processes. [default: one per core]")
def cluster(workers: int | None) -> None:
    """Keep a cluster on this machine until Ctrl+C, for any number of scripts of this user."""
    from distribute_challenge.local_cluster import LocalCluster

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    running = LocalCluster(workers or settings.worker_count())
    try:
        running.start()
        click.echo(f"{running.workers} worker processes are starting. In another terminal:\n")
        click.echo(f"    export CELERY_BROKER_URL={running.broker_url}\n")
        click.echo("Ctrl+C ends the cluster.")
        while not stop.wait(LOOK_EVERY):
            running.check()
    except DistributeChallengeError as error:
        raise click.ClickException(str(error)) from None
    finally:
        running.close()
    sys.exit(0)
