"""``distribute-challenge status``."""

from typing import Any

import click

from distribute_challenge.cli.broker import broker_option, checked_broker
from distribute_challenge.settings import DEFAULT_QUEUE, masked

__all__ = ["status"]


@click.command()
@broker_option
def status(broker: str | None) -> None:
    """Show a cluster's workers with their versions, what runs, queue lengths, and clients."""
    url = checked_broker(broker)
    from distribute_challenge.execution_backends.celery import control, presence
    from distribute_challenge.execution_backends.celery.connection import connect
    from distribute_challenge.execution_backends.celery.publishing import queue_keys

    connection = connect(url)
    workers, clients = presence.workers(connection), presence.clients(connection)
    click.echo(f"broker {masked(url)}\n")
    click.echo(
        _table(
            "workers",
            ["name", "processes", "queues", "python", "library", "pid"],
            [[w.name, w.concurrency, ",".join(w.queues), w.python, w.library, w.pid] for w in workers],
        )
    )
    running = control.active(url) if workers else {}
    click.echo(
        _table(
            "running",
            ["worker", "batch", "pid"],
            [[name, task["name"], task["worker_pid"]] for name, tasks in sorted(running.items()) for task in tasks],
        )
    )
    queues = sorted({DEFAULT_QUEUE, *(queue for worker in workers for queue in worker.queues)})
    lengths: list[Any] = [sum(int(connection.llen(key)) for key in queue_keys(queue)) for queue in queues]
    click.echo(_table("queues", ["name", "messages"], [list(row) for row in zip(queues, lengths, strict=True)]))
    click.echo(
        _table(
            "clients",
            ["host", "pid", "python", "library", "unfinished calls"],
            [[c.host, c.pid, c.python, c.library, c.waiting] for c in clients],
        )
    )


def _table(title: str, heads: list[str], rows: list[list[Any]]) -> str:
    """A table as text; a title alone with "none" where there are no rows."""
    if not rows:
        return f"{title}: none\n"
    cells = [heads, *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return f"{title}\n" + "\n".join(f"  {line}" for line in lines) + "\n"
