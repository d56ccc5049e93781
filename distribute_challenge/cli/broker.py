"""The option ``--broker``, which all commands share.

Every user of the machine can read a command line while the command runs, but not its environment.
So a command that finds a password in its ``--broker`` starts itself anew, in the same process, with
the address in a variable.
"""

import os
import sys
from collections.abc import Callable
from typing import Any

import click

from distribute_challenge import settings

__all__ = ["broker_option", "check_secret", "checked_broker"]


def broker_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--broker`` to a command."""
    return click.option(
        "--broker",
        metavar="URL",
        callback=_hide_password,
        help="Address of the cluster's Redis. [default: $DISTRIBUTE_CHALLENGE_BROKER_URL, "
        "then $CELERY_BROKER_URL]",
    )(command)


def _hide_password(
    context: click.Context, parameter: click.Parameter, url: str | None
) -> str | None:
    """Start the command anew without the option if its address contains a password."""
    rest = _without(sys.orig_argv[1:], url)
    # If the option is not on the command line, a program calls this command as a function.
    if url is not None and settings.masked(url) != url and rest != sys.orig_argv[1:]:
        first, second = settings.BROKER_VARIABLES
        click.echo(
            f"Warning: the password in --broker stood on a command line for a moment, where every "
            f"user of this machine can read "
            f"it, and stands in the history of your shell: set {first} or {second} instead",
            err=True,
        )
        os.execve(sys.executable, [sys.executable, *rest], {**os.environ, first: url})
    return url


def _without(arguments: list[str], url: str | None) -> list[str]:
    """Return a command line without the option ``--broker`` of this value."""
    found: list[str] = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        if before == "--broker" and argument == url:
            del found[-1]
        elif argument != f"--broker={url}":
            found.append(argument)
    return found


def checked_broker(url: str | None) -> str:
    """Return the address of the broker to use, after a check that it answers.

    Args:
        url: The value of ``--broker``; None: the address from the environment.

    Raises:
        click.ClickException: No broker is configured, or it does not answer.
    """
    from distribute_challenge.errors import DistributeChallengeError
    from distribute_challenge.execution_backends.celery.broker.connection import check_reachable

    url = url or settings.broker_url()
    if url is None:
        raise click.UsageError(
            "no broker is configured: give --broker redis://HOST:6379, or set CELERY_BROKER_URL; "
            "'distribute-challenge cluster' starts one on this machine"
        )
    try:
        check_reachable(url)
    except DistributeChallengeError as error:
        raise click.ClickException(str(error)) from None
    return url


def check_secret(url: str) -> None:
    """Check that there is a secret for the cluster at an address.

    Raises:
        click.ClickException: There is no secret, or it cannot be used.
    """
    from distribute_challenge.errors import DistributeChallengeError
    from distribute_challenge.security import keyring_for

    try:
        keyring_for(url)
    except (DistributeChallengeError, ValueError) as error:
        raise click.ClickException(str(error)) from None
