"""Removing the folders of clients that are gone without having tidied up."""

import contextlib
import os
import shutil
import stat
from pathlib import Path

from distribute_challenge.stores.owner_lock import NAME, OwnerLock

__all__ = ["is_own_folder", "prefix", "remove", "sweep"]

ATTEMPTS = 10  # At removing a folder that workers may still be writing results into; a guess.


def prefix() -> str:
    """How the names of this user's folders begin."""
    return f"distribute_challenge-{os.getuid()}-"


def is_own_folder(path: Path) -> bool:
    """Whether this is a folder as `FolderStore` makes them, of this user and closed to all others."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return (
        path.name.startswith(prefix())
        and stat.S_ISDIR(found.st_mode)
        and found.st_uid == os.getuid()
        and not stat.S_IMODE(found.st_mode) & 0o077
    )


def sweep(root: Path | None) -> list[Path]:
    """Remove this user's folders whose owners are dead.

    Any process may do it at any time, several at once, too: a folder whose owner lives, or is only just making it, stays.

    Args:
        root: Where they are; None: there is no shared memory, and nothing to do.

    Returns:
        What was removed.
    """
    removed = []
    with contextlib.suppress(OSError):
        for path in sorted(root.glob(f"{prefix()}*")) if root is not None else ():
            if is_own_folder(path) and (lock := OwnerLock.take(path)) is not None:
                remove(path, lock)
                removed.append(path)
    return removed


def remove(folder: Path, lock: OwnerLock) -> None:
    """Remove a folder and give back its lock. The lock's file goes last, so that what is left can be swept again."""
    for _ in range(ATTEMPTS):
        with contextlib.suppress(OSError):
            for name in os.listdir(folder):
                if name != NAME:
                    _unlink(folder / name)
        _unlink(folder / NAME)
        with contextlib.suppress(OSError):  # A worker wrote a result meanwhile.
            folder.rmdir()
        if not folder.exists():
            break
    lock.release()


def _unlink(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
