"""The command ``distribute-challenge dashboard``."""

import contextlib
import socket
import sys
import threading

import click

from distribute_challenge import settings
from distribute_challenge.cli.broker import broker_option, check_secret, checked_broker
from distribute_challenge.dashboard.serving import DEFAULT_PORT, LOOPBACK

__all__ = ["dashboard"]


@click.command(short_help="Show a page of what the cluster does.")
@broker_option
@click.option(
    "--host",
    default=LOOPBACK,
    show_default=True,
    help="Address of this machine to listen at. Others on the network can reach any but 127.0.0.1.",
)
@click.option(
    "--port",
    "-p",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Port to listen at; 0: any that is free.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    help="A name of this server that browsers use, beside localhost and its IP address.",
)
@click.option("--socket", "descriptor", type=int, hidden=True)
def dashboard(
    broker: str | None, host: str, port: int, names: tuple[str, ...], descriptor: int | None
) -> None:
    """Show a page of workers, calls, queues, throughput and failures, until Ctrl+C.

    It prints the address of the page, with a token that others do not know. The same server has
    /metrics for Prometheus and /api/backlog for scalers. It only reads.
    """
    from distribute_challenge.dashboard import serving
    from distribute_challenge.errors import DistributeChallengeError

    try:
        serving.check_installed()
    except DistributeChallengeError as error:
        raise click.ClickException(str(error)) from None
    url = checked_broker(broker)
    check_secret(url)
    token = settings.dashboard_token() or serving.new_token()
    until = None
    if descriptor is not None:
        # A program has started it, and ends it by closing its standard input.
        listening = socket.socket(fileno=descriptor)
        until = threading.Event()
        threading.Thread(target=_wait_for_end, args=(until,), daemon=True).start()
    else:
        try:
            listening = serving.listen(host, port)
        except OSError as error:
            raise click.ClickException(
                f"cannot listen at {host}, port {port} ({error.strerror}): choose another --port; "
                f"0 is any that is free"
            ) from None
        click.echo(f"{serving.address(listening, token)}\n\nCtrl+C ends the dashboard.")
        sys.stdout.flush()
    with contextlib.suppress(KeyboardInterrupt):
        serving.serve(url, listening, token, names, until)


def _wait_for_end(until: threading.Event) -> None:
    sys.stdin.buffer.read()
    until.set()
