"""The command ``distribute-challenge status``."""

import json
from contextlib import suppress
from functools import partial
from textwrap import indent
from time import sleep, time
from typing import TYPE_CHECKING, Any

import click

from distribute_challenge.cli.broker import broker_option, check_secret, checked_broker
from distribute_challenge.cli.left_out import LeftOut
from distribute_challenge.core.printable import printable
from distribute_challenge.core.tables import table
from distribute_challenge.settings import DEFAULT_QUEUE, masked

if TYPE_CHECKING:
    from distribute_challenge.execution_backends.celery.broker.connection import Broker

__all__ = ["status"]

PAUSE = 2.0  # Seconds between two looks, which take some hundredths of a second.
SHORTEST_PAUSE = 0.1

_SECTIONS = ("workers", "running", "queues", "item_queues", "clients")


@click.command(short_help="Show workers, running calls, queues and clients.")
@broker_option
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object; with --watch, one in each line."
)
@click.option(
    "--watch",
    type=click.FloatRange(min=SHORTEST_PAUSE),
    is_flag=False,
    flag_value=PAUSE,
    metavar="[SECONDS]",
    help=f"Show it again every so many seconds ({PAUSE:g} if no number is given), until Ctrl+C.",
)
def status(broker: str | None, as_json: bool, watch: float | None) -> None:
    """Show a cluster's workers with their versions, running calls, queues, and clients."""
    url = checked_broker(broker)
    check_secret(url)
    if watch is None:
        _show(url, *_read(url), as_json=as_json)
        return
    with suppress(KeyboardInterrupt):
        _watch(url, watch, as_json=as_json)


def _watch(url: str, pause: float, *, as_json: bool) -> None:
    found = _read(url)  # An error now is most likely a wrong address.
    while True:
        if not as_json:
            click.clear()  # On a terminal.
        _show(url, *found, as_json=as_json, is_line=True)
        while True:
            sleep(pause)
            try:
                found = _read(url)
                break
            except click.ClickException as error:
                error.show()  # The broker may come back.


def _read(url: str) -> tuple[dict[str, Any], LeftOut]:
    """Return what the command shows, and what it leaves out.

    Raises:
        click.ClickException: The broker does not answer, or refuses.
    """
    from distribute_challenge.errors import DistributeChallengeError
    from distribute_challenge.execution_backends.celery.broker.connection import translated

    left_out = LeftOut()
    try:
        with translated(url):
            return _status(url, left_out), left_out
    except DistributeChallengeError as error:
        raise click.ClickException(str(error)) from None


def _show(
    url: str, found: dict[str, Any], left_out: LeftOut, *, as_json: bool, is_line: bool = False
) -> None:
    if as_json:
        shown = {"time": time(), "broker": masked(url), **found}
        click.echo(json.dumps(shown, indent=None if is_line else 2))
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
    from distribute_challenge.execution_backends.celery.broker.keys import (
        CLIENTS,
        QUEUES,
        WORKERS,
    )
    from distribute_challenge.execution_backends.celery.broker.mailbox import Answers, bindings_key
    from distribute_challenge.execution_backends.celery.broker.publishing import queue_length
    from distribute_challenge.execution_backends.celery.broker.queues import queue_names

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
        names = left_out.read("queues of items", QUEUES, lambda: queue_names(connection)) or []
        item_queues = [_item_queue(connection, name, left_out) for name in names]
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
        "item_queues": [row for row in item_queues if row is not None],
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


def _item_queue(connection: "Broker", name: str, left_out: LeftOut) -> dict[str, Any] | None:
    """Return the row of a named queue of items; None if it has been deleted meanwhile."""
    from distribute_challenge.execution_backends.celery.broker.keys import queue_key
    from distribute_challenge.execution_backends.celery.broker.queues import QueueRecord
    from distribute_challenge.execution_backends.item_queue import queue_id

    record = QueueRecord(connection, queue_id(name))
    state = left_out.read("a queue of items", queue_key("state", record.id), record.state)
    if state is None:
        return None
    return {
        "name": printable(name),  # It is not signed.
        "waiting": state.size,
        "unfinished": state.unfinished,
        "dead": state.dead,
        "maxsize": state.maxsize,
        "shut_down": state.is_shut,
    }


def _section(title: str, rows: list[dict[str, Any]]) -> str:
    """Return a title and a table below it; "none" after the title if there are no rows."""
    if not rows:
        return f"{title.replace('_', ' ')}: none\n"
    heads = [name.replace("_", " ") for name in rows[0]]
    cells = [
        [",".join(cell) if isinstance(cell, list) else cell for cell in row.values()]
        for row in rows
    ]
    return f"{title.replace('_', ' ')}\n" + indent(table(heads, cells), "  ") + "\n"
