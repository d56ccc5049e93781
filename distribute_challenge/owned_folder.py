"""Folders that belong to one process, with a lock that shows whether the process lives.

The kernel releases the lock of a process that dies, however it dies; then `sweep` removes the
folder. Shared memory, copies of modules and flight records lie in such folders.
"""

import contextlib
import fcntl
import os
import shutil
import stat
from pathlib import Path

__all__ = ["OwnerLock", "is_locked", "is_own_folder", "prefix", "remove", "sweep"]

NAME = "owner.lock"
ATTEMPTS = 10  # To remove a folder that workers may still be writing results to; a guess.

# Descriptors of this process's locks. A forked child has them, too, and would keep the lock when
# its parent dies.
_held: set[int] = set()


class OwnerLock:
    """A lock on a folder, which its owner holds from `take` to `release`.

    Every other process calls `is_held`.

    Args:
        file: Descriptor of the locked file.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._pid = os.getpid()
        _held.add(file)

    @classmethod
    def take(cls, folder: Path, *, wait: bool = False) -> "OwnerLock | None":
        """Become a folder's owner; None if another process is, or if the folder is gone.

        Args:
            folder: The folder to own.
            wait: Wait until the lock is free. Only for the process that made the folder: at most a
                sweep holds the lock, for a moment.
        """
        path = folder / NAME
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except FileNotFoundError:
            return None
        taken = False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            # The previous owner may have removed the folder, and this file with it.
            taken = os.path.samestat(os.fstat(file), os.stat(path))
        except (BlockingIOError, FileNotFoundError):
            pass
        finally:
            if not taken:
                os.close(file)
        return cls(file) if taken else None

    @staticmethod
    def is_held(folder: Path) -> bool:
        """Whether a folder has a living owner."""
        return is_locked(folder / NAME) is True

    @property
    def mine(self) -> bool:
        """Whether this process took the lock; a fork of it did not."""
        return self._pid == os.getpid()

    def release(self) -> None:
        """Release the lock. Call it only once."""
        _held.discard(self._file)
        os.close(self._file)


def is_locked(path: Path | str) -> bool | None:
    """Whether a living process has a lock on a file.

    Returns:
        None if the file cannot be opened: most likely it is gone.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def prefix() -> str:
    """Return the prefix of the names of this user's folders."""
    return f"distribute_challenge-{os.getuid()}-"


def is_own_folder(path: Path) -> bool:
    """Whether a folder's name has the `prefix`, and only this user, its owner, has access."""
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

    Any process may call it at any time, and several may at once: a folder stays if its owner lives,
    or is just making it.

    Args:
        root: The folder in which they are; None: there is no shared memory, and nothing to do.

    Returns:
        The folders that were removed.
    """
    removed = []
    with contextlib.suppress(OSError):
        for path in sorted(root.glob(f"{prefix()}*")) if root is not None else ():
            if is_own_folder(path) and (lock := OwnerLock.take(path)) is not None:
                remove(path, lock)
                removed.append(path)
    return removed


def remove(folder: Path, lock: OwnerLock) -> None:
    """Remove a folder and release its lock.

    The lock's file is removed last: if files are left, a later sweep can remove them.

    Args:
        folder: The folder.
        lock: The lock on it, which this process holds.
    """
    for _ in range(ATTEMPTS):
        with contextlib.suppress(OSError):
            for name in os.listdir(folder):
                if name != NAME:
                    _unlink(folder / name)
        _unlink(folder / NAME)
        with contextlib.suppress(OSError):  # A worker wrote a result in between.
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


def _let_go() -> None:
    for file in _held:
        with contextlib.suppress(OSError):
            os.close(file)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)
