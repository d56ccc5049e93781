"""``distribute-challenge status``."""

import json
from textwrap import indent
from typing import Any

import click

from distribute_challenge.cli.broker import broker_option, check_secret, checked_broker
from distribute_challenge.core.tables import table
from distribute_challenge.settings import DEFAULT_QUEUE, masked

__all__ = ["status"]

_SECTIONS = ("workers", "running", "queues", "clients")


@click.command(short_help="Show workers, running calls, queues and clients.")
@broker_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(broker: str | None, as_json: bool) -> None:
    """Show a cluster's workers with their versions, what runs, queue lengths, and clients."""
    url = checked_broker(broker)
    check_secret(url)
    found = _status(url)
    if as_json:
        click.echo(json.dumps({"broker": masked(url), **found}, indent=2))
        return
    click.echo(f"broker {masked(url)}\n")
    for title in _SECTIONS:
        click.echo(_section(title, found[title]))
        if title == "workers" and (others := found["workers_with_another_secret"]):
            click.echo(f"workers with another secret, which take no calls from here: {others}\n")


def _status(url: str) -> dict[str, Any]:
    """Each section as rows of its columns."""
    from distribute_challenge.execution_backends.celery.broker import control, presence
    from distribute_challenge.execution_backends.celery.broker.connection import connect
    from distribute_challenge.execution_backends.celery.broker.publishing import queue_length

    with connect(url) as connection:
        workers, clients = presence.workers(connection), presence.clients(connection)
        running = control.active(url) if workers else {}
        queues = sorted({DEFAULT_QUEUE, *(queue for worker in workers for queue in worker.queues)})
        return {
            "workers": [
                {
                    "name": worker.name,
                    "processes": worker.concurrency,
                    "queues": worker.queues,
                    "python": worker.python,
                    "library": worker.library,
                    "pid": worker.pid,
                    "refused": worker.refused,
                }
                for worker in workers
            ],
            "workers_with_another_secret": presence.strangers(connection),
            "running": [
                {"worker": name, "batch": task["name"], "pid": task["worker_pid"]}
                for name, tasks in sorted(running.items())
                for task in tasks
            ],
            "queues": [{"name": queue, "messages": queue_length(connection, queue)} for queue in queues],
            "clients": [
                {
                    "host": client.host,
                    "pid": client.pid,
                    "python": client.python,
                    "library": client.library,
                    "unfinished_calls": client.waiting,
                }
                for client in clients
            ],
        }


def _section(title: str, rows: list[dict[str, Any]]) -> str:
    """A table below its title; a title alone with "none" where there are no rows."""
    if not rows:
        return f"{title}: none\n"
    heads = [name.replace("_", " ") for name in rows[0]]
    cells = [[",".join(cell) if isinstance(cell, list) else cell for cell in row.values()] for row in rows]
    return f"{title}\n" + indent(table(heads, cells), "  ") + "\n"
