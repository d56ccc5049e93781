"""The number of worker processes, if the command line does not say it."""

import click

from distribute_challenge import settings

__all__ = ["process_count"]


def process_count() -> int:
    """Return ``DISTRIBUTE_CHALLENGE_WORKERS``, or the number of cores if it is not set.

    Raises:
        click.ClickException: The variable is not a number.
    """
    try:
        return settings.worker_count()
    except ValueError as error:
        raise click.ClickException(str(error)) from None
