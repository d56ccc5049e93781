"""The command ``distribute-challenge ping``, for health checks and scripts that await a cluster."""

import socket

import click

from distribute_challenge.cli.broker import broker_option, checked_broker
from distribute_challenge.cli.left_out import LeftOut
from distribute_challenge.core.printable import printable
from distribute_challenge.settings import masked

__all__ = ["ping"]


@click.command(short_help="Ask workers for an answer.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@broker_option
@click.option(
    "--timeout",
    "-t",
    type=click.FloatRange(min=0, min_open=True),
    default=5.0,
    show_default=True,
    help="Seconds to wait for answers.",
)
def ping(names: tuple[str, ...], broker: str | None, timeout: float) -> None:
    """Ask workers for an answer, all of them or those named.

    The command fails if a named worker does not answer; without names, if none answers.

    NAME is a worker's name as 'distribute-challenge status' shows it; without an @ it is one on
    this machine.
    """
    url = checked_broker(broker)
    # Celery is not imported: health checks run this command often, and it must not cost much.
    from distribute_challenge.errors import DistributeChallengeError
    from distribute_challenge.execution_backends.celery.broker import ping as asking
    from distribute_challenge.execution_backends.celery.broker.connection import connect, translated

    host = socket.gethostname()
    # Without duplicates: a name that is given twice is only asked for once.
    wanted = list(dict.fromkeys(name if "@" in name else f"{name}@{host}" for name in names))
    try:
        with translated(url), connect(url) as connection:
            answers = asking.ping(connection, wanted or None, timeout=timeout)
    except DistributeChallengeError as error:
        raise click.ClickException(str(error)) from None
    for name, seconds in answers.items():
        click.echo(f"{printable(name)} answered in {1000 * seconds:.1f} ms")
    left_out = LeftOut()
    left_out.add_answers(answers.left_out)
    left_out.echo()
    silent = [name for name in wanted if name not in answers]
    if silent:
        raise click.ClickException(
            f"no answer within {timeout:g} s from {', '.join(map(printable, silent))}"
        )
    if not answers:
        raise click.ClickException(f"no worker answered within {timeout:g} s at {masked(url)}")
