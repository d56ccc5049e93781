"""The command ``distribute-challenge top``."""

import contextlib
import shutil
import sys
import threading

import click

from distribute_challenge.cli.broker import broker_option, check_secret, checked_broker

__all__ = ["top"]

# Of ANSI: to the upper left corner; clear to the end of the line, and of the screen; a screen of
# its own, which leaves what was there before as it is.
_HOME, _END_OF_LINE, _REST = "\x1b[H", "\x1b[K", "\x1b[J"
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


@click.command(short_help="Show in the terminal what the cluster does.")
@broker_option
@click.option(
    "--every",
    "-e",
    type=click.FloatRange(min=0.1),
    default=1.0,
    show_default=True,
    help="Seconds between two looks.",
)
@click.option(
    "--times", "-n", type=click.IntRange(min=1), help="Number of looks. [default: until Ctrl+C]"
)
def top(broker: str | None, every: float, times: int | None) -> None:
    """Show in the terminal what the page of 'dashboard' shows, until Ctrl+C.

    It needs no further packages. Where the output is no terminal, each look is printed below the
    one before.
    """
    url = checked_broker(broker)
    check_secret(url)
    from distribute_challenge.dashboard.collector import Collector
    from distribute_challenge.dashboard.terminal import screen
    from distribute_challenge.errors import DistributeChallengeError

    is_terminal = sys.stdout.isatty()
    collector, pause = Collector(url), threading.Event()
    if is_terminal:
        click.echo(_ENTER, nl=False)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            looks = 0
            while True:
                size = shutil.get_terminal_size()
                text = screen(
                    collector.look(), size.columns, size.lines - 1 if is_terminal else 10**6
                )
                looks += 1
                if is_terminal:
                    text = _HOME + text.replace("\n", f"{_END_OF_LINE}\n") + _END_OF_LINE + _REST
                click.echo(text if is_terminal else f"{text}\n", nl=not is_terminal)
                if looks == times:
                    break
                pause.wait(every)
    except DistributeChallengeError as error:
        raise click.ClickException(str(error)) from None
    finally:
        if is_terminal:
            click.echo(_LEAVE, nl=False)
        collector.close()
