"""Finds the secret of a cluster: in a file or in the environment."""

import os
import stat
from pathlib import Path
from urllib.parse import urlsplit

from distribute_challenge import settings
from distribute_challenge.errors import SecretError
from distribute_challenge.security.keyring import Keyring

__all__ = ["SECRET_FILE", "keyring_for"]

#: Name of the secret's file in an embedded cluster's folder, which only its user can enter.
SECRET_FILE = "secret"


def keyring_for(url: str) -> Keyring:
    """Return the keyring for the cluster at an address.

    The secret comes from the first of these that is there: the file beside an embedded cluster's
    socket, ``DISTRIBUTE_CHALLENGE_SECRET``, the file that ``DISTRIBUTE_CHALLENGE_SECRET_FILE``
    names. ``DISTRIBUTE_CHALLENGE_INSECURE=1`` allows a cluster without a secret.

    Args:
        url: Address of the broker.

    Raises:
        SecretError: There is no secret; or it is too short, or in a file that others can read.
        BackendError: Encryption is asked for, and the package `cryptography` is not installed.
    """
    encrypt = settings.encrypt()
    if (path := _beside_socket(url)) is not None:
        return Keyring(_content(path), encrypt=encrypt)
    if text := settings.secret():
        return Keyring(text, encrypt=encrypt)
    if (named := settings.secret_file()) is not None:
        return Keyring(_content(named), encrypt=encrypt)
    if settings.insecure():
        return Keyring.insecure()
    raise SecretError(
        f"the cluster at {settings.masked(url)} needs a secret, which signs every call, or any "
        f"program that reaches Redis could run "
        f"code here: set {settings.SECRET_VARIABLE} to the same text on client and workers "
        f"(`distribute-challenge secret` "
        f"prints one), or {settings.SECRET_FILE_VARIABLE} to a file with it; "
        f"{settings.INSECURE_VARIABLE}=1 does without"
    )


def _beside_socket(url: str) -> Path | None:
    """Return the secret's file of this user's embedded cluster; None for any other cluster."""
    parts = urlsplit(url)
    if parts.scheme != "redis+socket":
        return None
    path = Path(parts.path).parent / SECRET_FILE
    try:
        folder = path.parent.stat()
    except OSError:
        return None
    is_private = folder.st_uid == os.geteuid() and not stat.S_IMODE(folder.st_mode) & 0o077
    return path if is_private and path.is_file() else None


def _content(path: Path) -> str:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise SecretError(
                f"the secret's file {path} can be read by others than its owner (mode {mode:04o}): "
                f"chmod 600 {path}"
            )
        return path.read_text()
    except UnicodeDecodeError:
        raise SecretError(
            f"the secret's file {path} holds no text: `distribute-challenge secret` prints a secret"
        ) from None
    except OSError as error:
        raise SecretError(f"the secret's file {path} cannot be read: {error.strerror}") from error
