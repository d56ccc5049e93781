"""The lock by which others see that a folder's owner lives: the kernel takes it back from a process that dies, however it dies."""

import contextlib
import fcntl
import os
from pathlib import Path

__all__ = ["OwnerLock", "is_locked"]

NAME = "owner.lock"

# Descriptors of this process's locks. A forked child has them too, and would keep the lock when its parent dies.
_held: set[int] = set()


class OwnerLock:
    """A lock on a folder, held from `take` to `release`.

    Args:
        file: Descriptor of the locked file.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._pid = os.getpid()
        _held.add(file)

    @classmethod
    def take(cls, folder: Path, *, wait: bool = False) -> "OwnerLock | None":
        """Become a folder's owner; None if somebody else is, or if the folder is gone.

        Args:
            folder: What to own.
            wait: Wait for whoever has the lock. Only for the maker of the folder: all that can have it is a sweep, for a moment.
        """
        path = folder / NAME
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except FileNotFoundError:
            return None
        taken = False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            # Who had it before may have removed the folder, and this file with it.
            taken = os.path.samestat(os.fstat(file), os.stat(path))
        except (BlockingIOError, FileNotFoundError):
            pass
        finally:
            if not taken:
                os.close(file)
        return cls(file) if taken else None

    @staticmethod
    def is_held(folder: Path) -> bool:
        """Whether a folder has an owner that lives."""
        return is_locked(folder / NAME) is True

    @property
    def mine(self) -> bool:
        """Whether this process took it; a fork of it did not."""
        return self._pid == os.getpid()

    def release(self) -> None:
        """Give it back. Once."""
        _held.discard(self._file)
        os.close(self._file)


def is_locked(path: Path | str) -> bool | None:
    """Whether a process that lives has a lock on a file.

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


def _let_go() -> None:
    for file in _held:
        with contextlib.suppress(OSError):
            os.close(file)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)
