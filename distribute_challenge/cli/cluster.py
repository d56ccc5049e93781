"""The command ``distribute-challenge cluster``."""

import contextlib
import os
import re
import signal
import sys
import threading
from typing import TYPE_CHECKING, BinaryIO, Final

import click

from distribute_challenge.cli.processes import process_count
from distribute_challenge.core.log_lines import SEPARATOR
from distribute_challenge.errors import DistributeChallengeError
from distribute_challenge.execution.standard_streams import work_without_streams

if TYPE_CHECKING:
    from distribute_challenge.local_cluster import LocalCluster

__all__ = ["cluster"]

# Seconds between two checks whether the cluster still lives, and what its workers have written.
LOOK_EVERY = 0.1

# A line in `log.FORMAT`: time, level, process, call, text.
_LINE: Final = re.compile(
    r"\S+ \S+ (?P<level>[A-Z]+) (?P<process>\S+) \[(?P<call>[^\]]*)\] (?P<text>.*)"
)
_CHATTER: Final = ("DEBUG", "INFO")


@click.command(short_help="Keep a cluster running on this machine.")
@click.option(
    "--workers", "-w", type=click.IntRange(min=1), help="Worker processes. [default: one per core]"
)
def cluster(workers: int | None) -> None:
    """Keep a cluster running on this machine until Ctrl+C.

    All scripts of this user can share it. A script's own cluster ends with the script.
    It also shows what their calls print, and the warnings of the workers.
    """
    from distribute_challenge.local_cluster import LocalCluster

    work_without_streams()
    running = LocalCluster(workers or process_count())
    stop = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        running.start()
        click.echo(f"{running.workers} worker processes are starting. In another terminal:\n")
        click.echo(f"    export CELERY_BROKER_URL={running.broker_url}\n")
        click.echo("Ctrl+C ends the cluster.")
        _watch(running, stop)
    except DistributeChallengeError as error:
        raise click.ClickException(str(error)) from None
    finally:
        running.close()
        for number, handler in before.items():
            signal.signal(number, handler)
    sys.exit(0)


def _watch(running: "LocalCluster", stop: threading.Event) -> None:
    """Show the log of the cluster until ``stop`` is set.

    Raises:
        ClusterStartError: The cluster has died.
    """
    from redis import RedisError

    from distribute_challenge.execution_backends.celery.broker import presence
    from distribute_challenge.execution_backends.celery.broker.connection import connect

    connection = connect(running.broker_url)
    log: BinaryIO | None = None
    with contextlib.ExitStack() as files:
        while not stop.wait(LOOK_EVERY):
            running.check()
            if log is not None:
                for line in _new_lines(log):
                    _show(line)
                continue
            # Lines before it is ready are about its start, and are not shown. If Redis is gone, the
            # next check reports it.
            with contextlib.suppress(RedisError):
                if presence.workers(connection):
                    log = files.enter_context(running.log_file.open("rb"))
                    log.seek(0, os.SEEK_END)
                    click.echo("ready")


def _new_lines(log: BinaryIO) -> list[str]:
    """Return the complete lines that were written since the last call."""
    data = log.read()
    end = data.rfind(b"\n") + 1
    log.seek(end - len(data), os.SEEK_CUR)
    return data[:end].decode(errors="backslashreplace").splitlines()


def _show(line: str) -> None:
    parts = _LINE.fullmatch(line)
    if parts is None:
        # From a program that a call has started, or a further line of a text.
        click.echo(line)
        return
    level, process, call, text = parts.group("level", "process", "call", "text")
    source = f"worker-{process.rpartition('-')[2]}" if "-" in process else "worker"
    is_chatter = level in _CHATTER
    if call != "-":
        click.echo(f"{call}@{source}{SEPARATOR}{text}", err=not is_chatter)
    elif source != "worker" or not is_chatter:
        click.echo(f"{source}{SEPARATOR}{text}", err=not is_chatter)
