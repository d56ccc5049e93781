"""The command ``distribute-challenge secret``, which makes the secret for a new cluster."""

import contextlib
import os
from pathlib import Path

import click

from distribute_challenge import settings
from distribute_challenge.cli.processes import process_count
from distribute_challenge.security import new_secret

__all__ = ["secret"]


@click.command(short_help="Make the secret of a cluster.")
@click.option(
    "--env",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a file for Docker Compose, with a secret, a password for Redis "
    "and the cluster's address.",
)
def secret(file: Path | None) -> None:
    """Print a new secret, for the variable DISTRIBUTE_CHALLENGE_SECRET on clients and workers.

    With '--env .env', write what docker-compose.yml needs into the file .env, which must not exist
    yet. Only you can read it.
    """
    if file is None:
        click.echo(new_secret())
        return
    text = _variables(new_secret(), new_secret())
    try:
        # It has this mode from the start, and replaces no file.
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise click.ClickException(
            f"{file} exists already, and programs that use the secret and the password in it would "
            f"be shut out by new ones: "
            f"keep it, or add what it lacks: 'distribute-challenge secret' prints a text that "
            f"serves as either"
        ) from None
    except OSError as error:
        raise click.ClickException(f"cannot write {file}: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "w") as output:
            os.fchmod(descriptor, 0o600)  # The umask may have removed bits of the mode.
            output.write(text)
    except OSError as error:
        # An incomplete file would be in the way of the next attempt.
        with contextlib.suppress(OSError):
            file.unlink()
        raise click.ClickException(f"cannot write {file}: {error.strerror}") from None
    click.echo(f"wrote {file}, for you alone to read (mode 0600)")


def _variables(signing: str, password: str) -> str:
    return (
        "# Signs every call and every result: the same for clients and workers, and known to no "
        "others.\n"
        f"{settings.SECRET_VARIABLE}={signing}\n"
        "# Opens the Redis of docker-compose.yml.\n"
        f"REDIS_PASSWORD={password}\n"
        "# The cluster's address for programs on this machine.\n"
        f"CELERY_BROKER_URL=redis://:{password}@localhost:6379/0\n"
        "# Containers with a worker. After a change: docker compose up --detach\n"
        f"WORKERS={process_count()}\n"
    )
