"""``distribute-challenge status``."""

from textwrap import indent
from typing import Any

import click

from distribute_challenge.cli.broker import broker_option, check_secret, checked_broker
from distribute_challenge.settings import DEFAULT_QUEUE, masked
from distribute_challenge.tables import table

__all__ = ["status"]


@click.command()
@broker_option
def status(broker: str | None) -> None:
    """Show a cluster's workers with their versions, what runs, queue lengths, and clients."""
    url = checked_broker(broker)
    check_secret(url)
    from distribute_challenge.execution_backends.celery.broker import control, presence
    from distribute_challenge.execution_backends.celery.broker.connection import connect
    from distribute_challenge.execution_backends.celery.broker.publishing import queue_length

    connection = connect(url)
    workers, clients = presence.workers(connection), presence.clients(connection)
    click.echo(f"broker {masked(url)}\n")
    click.echo(
        _section(
            "workers",
            ["name", "processes", "queues", "python", "library", "pid", "refused"],
            [[w.name, w.concurrency, ",".join(w.queues), w.python, w.library, w.pid, w.refused] for w in workers],
        )
    )
    if strangers := presence.strangers(connection):
        click.echo(f"workers with another secret, which take no calls from here: {strangers}\n")
    running = control.active(url) if workers else {}
    click.echo(
        _section(
            "running",
            ["worker", "batch", "pid"],
            [[name, task["name"], task["worker_pid"]] for name, tasks in sorted(running.items()) for task in tasks],
        )
    )
    queues = sorted({DEFAULT_QUEUE, *(queue for worker in workers for queue in worker.queues)})
    click.echo(_section("queues", ["name", "messages"], [[queue, queue_length(connection, queue)] for queue in queues]))
    click.echo(
        _section(
            "clients",
            ["host", "pid", "python", "library", "unfinished calls"],
            [[c.host, c.pid, c.python, c.library, c.waiting] for c in clients],
        )
    )


def _section(title: str, heads: list[str], rows: list[list[Any]]) -> str:
    """A table below its title; a title alone with "none" where there are no rows."""
    if not rows:
        return f"{title}: none\n"
    return f"{title}\n" + indent(table(heads, rows), "  ") + "\n"
