"""Keeps files of freed values for a while, so that new values can be written into them.

The kernel takes as long to find and to clear the memory of a new file as to copy a value into it.

    freed value ──> keep ──> spare/… ──> take: a new value is written ──> its name
                                └──────> drop: after some seconds, or when memory is short

Guarantees:

- No process sees a value change: a file is taken only if no process has it open or mapped. The
  kernel says so, by a lease (`fcntl.F_SETLEASE`); where it has none, no file is kept.
- Of several processes that want the same file, at most one gets it.
"""

import contextlib
import fcntl
import os
import secrets
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from distribute_challenge.core import clock

__all__ = ["KEPT_FOR", "SpareFiles"]

REUSED_FROM = 1 << 20  # Bytes. Smaller files are made anew in no time.
MOST_BYTES = 512 << 20  # Of all spare files of a client; a guess.
LARGEST_SHARE = 8  # They take at most one part in eight of the file system.
KEPT_FOR = 10.0  # Seconds.
ATTEMPTS = 8  # Files to try for one value; each try takes a hundredth of a millisecond.

_HAS_LEASES = sys.platform == "linux"


class SpareFiles:
    """The spare files of one client; its store and those of its workers use them.

    Args:
        folder: Where they lie: a folder in the file system of the values, for nothing else. It is
            made when it is first needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, path: str) -> bool:
        """Keep a file, if it is of a size that pays; the oldest ones give way.

        Args:
            path: The file. Its name is gone afterwards; processes that have it mapped keep it.

        Returns:
            Whether it was kept; False: the caller removes it.

        Raises:
            OSError: The file is not there.
        """
        size = os.stat(path).st_size
        if not _HAS_LEASES or not REUSED_FROM <= size <= self._most_bytes():
            return False
        self._folder.mkdir(mode=0o700, exist_ok=True)
        os.rename(path, self._folder / secrets.token_hex(16))
        room = self._most_bytes()
        for entry, found in self._newest_first():
            room -= found.st_size
            if room < 0:
                _unlink(entry.path)
        return True

    def take(self, size: int, to: Path) -> int | None:
        """Take a file that no process uses.

        Args:
            size: Bytes that will be written. A much smaller file is not taken, as most of its memory
                would be new.
            to: The path that the file gets.

        Returns:
            A descriptor for writing, at the beginning of the file, with `flock`'s exclusive lock.
            The file is no longer than the size. None: there is no such file.
        """
        if size < REUSED_FROM:
            return None
        files = [pair for pair in self._newest_first() if 2 * pair[1].st_size > size]
        for entry, _ in files[:ATTEMPTS]:
            with contextlib.suppress(OSError):
                file = os.open(
                    entry.path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
                )
                with contextlib.ExitStack() as stack:
                    stack.callback(os.close, file)
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _check_unused(file)
                    # Fails if another process has taken it before.
                    os.rename(entry.path, to)
                    if os.fstat(file).st_size > size:
                        os.ftruncate(file, size)
                    stack.pop_all()
                    return file
        return None

    def drop(self, kept_for: float = 0.0) -> None:
        """Remove files.

        Args:
            kept_for: Only those that have been kept for as many seconds.
        """
        before = clock.wall() - kept_for
        for entry, found in self._newest_first():
            if found.st_ctime <= before:
                _unlink(entry.path)

    def _most_bytes(self) -> int:
        space = os.statvfs(self._folder.parent)
        return min(MOST_BYTES, space.f_blocks * space.f_frsize // LARGEST_SHARE)

    def _newest_first(self) -> "list[tuple[os.DirEntry[str], os.stat_result]]":
        return sorted(self._found(), key=lambda pair: -pair[1].st_ctime)

    def _found(self) -> "Iterator[tuple[os.DirEntry[str], os.stat_result]]":
        with contextlib.suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for entry in entries:
                # A file that is taken or removed in between is not there any more.
                with contextlib.suppress(OSError):
                    yield entry, entry.stat(follow_symlinks=False)


def _check_unused(file: int) -> None:
    """Raise `OSError` if any other descriptor or map of a file exists, in any process."""
    # If a process opens the file while there is the lease, the kernel sends this signal, which has
    # no effect, in place of SIGIO, which ends the process.
    fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
    fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
