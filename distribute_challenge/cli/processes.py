"""How many worker processes, where the command line does not say."""

import click

from distribute_challenge import settings

__all__ = ["process_count"]


def process_count() -> int:
    """One for each core, or what ``DISTRIBUTE_CHALLENGE_WORKERS`` says.

    Raises:
        click.ClickException: The variable is no number.
    """
    try:
        return settings.worker_count()
    except ValueError as error:
        raise click.ClickException(str(error)) from None
