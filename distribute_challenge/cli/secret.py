"""``distribute-challenge secret``: what has to be there before a cluster of one's own."""

import contextlib
import os
from pathlib import Path

import click

from distribute_challenge import settings
from distribute_challenge.security import new_secret

__all__ = ["secret"]


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path), metavar="[FILE]")
def secret(file: Path | None) -> None:
    """Make a secret for a cluster, and a password for its Redis: lines for an environment file.

    They are printed, or written into FILE, as in 'distribute-challenge secret .env' before 'docker compose up'. FILE must
    not be there yet; nobody but you can read it.
    """
    lines = _lines(new_secret(), new_secret())
    if file is None:
        click.echo(lines, nl=False)
        return
    try:
        # Of this mode from its first moment on, and in nobody's place.
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise click.ClickException(
            f"{file} is there already, and with new keys those who use the old ones would be shut out: keep it; or, to add to "
            f"it what it lacks, run 'distribute-challenge secret' without a file and copy the lines"
        ) from None
    except OSError as error:
        raise click.ClickException(f"cannot write {file}: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "w") as output:
            os.fchmod(descriptor, 0o600)  # Whatever the umask has left of it.
            output.write(lines)
    except OSError as error:
        # Half a file would be in the way of the next attempt.
        with contextlib.suppress(OSError):
            file.unlink()
        raise click.ClickException(f"cannot write {file}: {error.strerror}") from None
    click.echo(f"wrote {file}, for you alone to read (mode 0600)")


def _lines(signing: str, password: str) -> str:
    return (
        "# Signs every call and every result: the same on clients and workers, and nobody else's.\n"
        f"{settings.SECRET_VARIABLE}={signing}\n"
        "# Opens the Redis of docker-compose.yml.\n"
        f"REDIS_PASSWORD={password}\n"
        "# The cluster's address for programs on this machine.\n"
        f"CELERY_BROKER_URL=redis://:{password}@localhost:6379/0\n"
    )
