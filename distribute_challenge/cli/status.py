"""The command ``distribute-challenge status``."""

import json
from functools import partial
from textwrap import indent
from typing import Any

import click

from distribute_challenge.cli.broker import broker_option, check_secret, checked_broker
from distribute_challenge.cli.left_out import LeftOut
from distribute_challenge.core.tables import table
from distribute_challenge.settings import DEFAULT_QUEUE, masked

__all__ = ["status"]

_SECTIONS = ("workers", "running", "queues", "clients")


@click.command(short_help="Show workers, running calls, queues and clients.")
@broker_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(broker: str | None, as_json: bool) -> None:
    """Show a cluster's workers with their versions, running calls, queue lengths, and clients."""
    url = checked_broker(broker)
    check_secret(url)
    from distribute_challenge.errors import DistributeChallengeError
    from distribute_challenge.execution_backends.celery.broker.connection import translated

    left_out = LeftOut()
    try:
        with translated(url):
            found = _status(url, left_out)
    except DistributeChallengeError as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps({"broker": masked(url), **found}, indent=2))
        return
    click.echo(f"broker {masked(url)}\n")
    for title in _SECTIONS:
        click.echo(_section(title, found[title]))
        if title == "workers" and (others := found["workers_with_another_secret"]):
            click.echo(f"workers with another secret, which take no calls from here: {others}\n")
    left_out.echo()


def _status(url: str, left_out: LeftOut) -> dict[str, Any]:
    """Return what `status` shows; each section is a list of rows, which are dicts by column."""
    from distribute_challenge.execution_backends.celery.broker import control, presence
    from distribute_challenge.execution_backends.celery.broker.connection import connect
    from distribute_challenge.execution_backends.celery.broker.keys import CLIENTS, WORKERS
    from distribute_challenge.execution_backends.celery.broker.mailbox import Answers, bindings_key
    from distribute_challenge.execution_backends.celery.broker.publishing import queue_length

    with connect(url) as connection:
        present = left_out.read(
            "workers", WORKERS, lambda: presence.workers_and_strangers(connection)
        )
        workers, strangers = present or ([], 0)
        clients = left_out.read("clients", CLIENTS, lambda: presence.clients(connection)) or []
        running: Answers[list[control.Running]] = Answers()
        if names := [worker.name for worker in workers]:
            running = (
                left_out.read("what runs", bindings_key(), lambda: control.active(url, names))
                or running
            )
            left_out.add_answers(running.left_out)
        lengths: dict[str, int] = {}
        for queue in sorted(
            {DEFAULT_QUEUE, *(queue for worker in workers for queue in worker.queues)}
        ):
            length = left_out.read(
                "messages of a queue", queue, partial(queue_length, connection, queue)
            )
            if length is not None:
                lengths[queue] = length
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
        "workers_with_another_secret": strangers,
        "running": [
            {"worker": name, "batch": task.name, "pid": task.pid}
            for name, tasks in sorted(running.items())
            for task in tasks
        ],
        "queues": [{"name": queue, "messages": length} for queue, length in lengths.items()],
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
        "left_out": left_out.lines,
    }


def _section(title: str, rows: list[dict[str, Any]]) -> str:
    """Return a title and a table below it; "none" after the title if there are no rows."""
    if not rows:
        return f"{title}: none\n"
    heads = [name.replace("_", " ") for name in rows[0]]
    cells = [
        [",".join(cell) if isinstance(cell, list) else cell for cell in row.values()]
        for row in rows
    ]
    return f"{title}\n" + indent(table(heads, cells), "  ") + "\n"
