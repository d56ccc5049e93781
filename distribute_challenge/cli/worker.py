"""The command ``distribute-challenge worker``."""

import os
import re
import sys

import click

from distribute_challenge import settings
from distribute_challenge.cli.broker import broker_option, check_secret, checked_broker
from distribute_challenge.cli.processes import process_count
from distribute_challenge.errors import SystemFailureError
from distribute_challenge.execution.standard_streams import work_without_streams

__all__ = ["worker"]


_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class _Size(click.ParamType[int]):
    """The type of an option for a number of bytes, such as ``500M``, ``2G`` or ``1.5GB``."""

    name = "SIZE"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        found = re.fullmatch(r"(\d+(?:\.\d+)?) *([KMGT]?)(?:I?B)?", str(value).strip().upper())
        size = round(float(found[1]) * _UNITS[found[2]]) if found else 0
        if size < 1:
            self.fail(f"{value!r} is not a size of memory; write it like 500M or 2G", param, ctx)
        return size


@click.command(short_help="Start a worker that runs calls.")
@broker_option
@click.option(
    "--concurrency",
    "-c",
    type=click.IntRange(min=1),
    help="Worker processes. [default: one per core]",
)
@click.option(
    "--queues",
    "-Q",
    default=settings.DEFAULT_QUEUE,
    show_default=True,
    help="Queues to serve, with commas between them.",
)
@click.option(
    "--name", "-n", help="Name of this worker, unique on its machine. [default: worker-PID]"
)
@click.option(
    "--loglevel",
    "-l",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"], case_sensitive=False),
    default="INFO",
    show_default=True,
    help="What to log.",
)
@click.option(
    "--max-calls",
    type=click.IntRange(min=1),
    help="Replace a process when it has run so many calls. [default: never]",
)
@click.option(
    "--max-memory",
    type=_Size(),
    help="Replace a process that holds more memory than this after a message, "
    "such as 500M or 2G. [default: never]",
)
def worker(
    broker: str | None,
    concurrency: int | None,
    queues: str,
    name: str | None,
    loglevel: str,
    max_calls: int | None,
    max_memory: int | None,
) -> None:
    """Start a worker that runs calls.

    After Ctrl+C or SIGTERM it finishes the calls that run, and ends.
    """
    work_without_streams()
    names = [queue.strip() for queue in queues.split(",") if queue.strip()]
    if not names:
        raise click.BadParameter(f"{queues!r} names no queue", param_hint="--queues")
    from distribute_challenge.execution_backends.celery.worker.privileges import guard

    try:
        guard()
    except (SystemFailureError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    url = checked_broker(broker)
    check_secret(url)
    # With a fixed name, `status`, `ping` and Celery's own tools would take two workers on one
    # machine for a single one.
    name = name or f"worker-{os.getpid()}"
    processes = concurrency or process_count()
    many = "1 process" if processes == 1 else f"{processes} processes"
    click.echo(f"worker {name}: {many}, queues {', '.join(names)}, broker {settings.masked(url)}")
    from distribute_challenge.execution_backends.celery.worker.main import run_worker

    limits = {"max_calls": max_calls, "max_memory": max_memory}
    sys.exit(
        run_worker(
            url, concurrency=processes, queues=names, name=name, loglevel=loglevel.upper(), **limits
        )
    )
