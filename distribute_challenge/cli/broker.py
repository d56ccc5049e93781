"""The broker option that all commands share."""

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
        help="Address of the cluster's Redis. [default: $DISTRIBUTE_CHALLENGE_BROKER_URL, then $CELERY_BROKER_URL]",
    )(command)


def checked_broker(url: str | None) -> str:
    """The broker to use, known to answer.

    Raises:
        click.ClickException: None is configured, or it does not answer.
    """
    from distribute_challenge.errors import DistributeChallengeError
    from distribute_challenge.execution_backends.celery.connection import check_reachable

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
    """Make sure that there is a secret for a cluster.

    Raises:
        click.ClickException: There is none, or it cannot be used.
    """
    from distribute_challenge.errors import DistributeChallengeError
    from distribute_challenge.security import keyring_for

    try:
        keyring_for(url)
    except (DistributeChallengeError, ValueError) as error:
        raise click.ClickException(str(error)) from None
