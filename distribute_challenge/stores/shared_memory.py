"""Keeps large values as files in shared memory, which processes of the machine map without a copy.

    client: put ──> a file ──> get: worker maps it         arguments
    client: adopt <── a file <── put: worker               results

Guarantees:

- A file gets its name only when it is complete, and is never written to or shortened while a
  process has it open or mapped. When its value is freed, another value may get the file
  (`SpareFiles`).
- Only processes of the same user have access.
- The folder is removed at `close` or at the end of the owner's process; if that is killed, at the
  next `sweep` by any process.
- A fork of the owner removes nothing and does not keep the folder alive.
"""

import contextlib
import errno
import fcntl
import os
import secrets
import socket
import weakref
from collections.abc import Collection, Iterator
from pathlib import Path

from distribute_challenge.core import clock
from distribute_challenge.core.sizes import as_size
from distribute_challenge.errors import StoreFullError, SystemFailureError, ValueLostError
from distribute_challenge.owned_folder import OwnerLock, is_locked, is_own_folder, prefix, remove
from distribute_challenge.settings import shared_folder
from distribute_challenge.stores.base import Store
from distribute_challenge.stores.mapped import contents
from distribute_challenge.stores.spare_files import KEPT_FOR, SpareFiles

__all__ = ["SharedMemoryStore", "shared_memory_identity"]

# Seconds after which a file that the client does not know is removed; replies wait for their client
# for as long.
STRAY_AFTER = 3600.0
LOOK_FOR_STRAYS = 10.0  # Seconds between two searches for such files.
SPARE = "spare"  # The folder of the files of freed values.
UNFINISHED = "unfinished-"  # The prefix of the name of a file that is being written.
LOCKED_WITHIN = 1.0  # Seconds within which the process that creates such a file locks it.

# A full file system, a quota, and this process's limits on the size of files and memory.
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM}


class SharedMemoryStore(Store):
    """A store that keeps the values of one client in a private folder.

    Args:
        root: The folder in which to make it; callers pass `settings.shared_folder`.

    Raises:
        StoreFullError: There is no room even for an empty folder.
        SystemFailureError: ``root`` cannot be written to.

    Attributes:
        path: The private folder.
    """

    maps = True

    def __init__(self, root: Path) -> None:
        with _no_room("a folder", 0, root):
            self.path, lock = _make(root)
        self.name = f"folder:{self.path}"
        self._spare = SpareFiles(self.path / SPARE)
        self._looked = clock.monotonic()
        # It also runs at the end of a process that did not close the store.
        self._remove = weakref.finalize(self, _remove_own, self.path, lock)

    @classmethod
    def attach(cls, path: Path) -> "SharedMemoryStore | None":
        """Return a store with which a worker reads arguments and leaves results.

        Args:
            path: The client's folder.

        Returns:
            The store; None if this process does not share memory with the client: the folder is not
            in this process's `settings.shared_folder`, does not exist, belongs to another user, or
            its owner is dead.
        """
        if path.parent != shared_folder() or not is_own_folder(path) or not OwnerLock.is_held(path):
            return None
        store = cls.__new__(cls)
        store.path, store.name = path, f"folder:{path}"
        store._spare = SpareFiles(path / SPARE)
        store._remove = None
        return store

    _remove: "weakref.finalize[..., SharedMemoryStore] | None"

    def put(self, key: str, data: memoryview) -> None:
        with _no_room("a value", data.nbytes, self.path):
            unfinished = self.path / f"{UNFINISHED}{secrets.token_hex(8)}"
            try:
                with self._file(unfinished, data.nbytes) as file:
                    # By `write` and not into a map: if memory runs out, `write` raises an error,
                    # and access to a map ends in a SIGBUS.
                    while data:
                        data = data[os.write(file, data) :]
                    unfinished.rename(self.path / key)
            except BaseException:
                unfinished.unlink(missing_ok=True)
                raise

    def get(self, key: str, size: int) -> memoryview | None:
        return contents(f"{self.path}/{key}", size)

    def adopt(self, key: str, size: int) -> memoryview | None:
        """Take a result out of the folder, as memory that only the caller has and may write to.

        Args:
            key: Name of the value.
            size: The size that it must have, in bytes.

        Returns:
            The value, or None if it is not there. Its memory is freed with the last buffer of it.
        """
        data = self.copy(key, size)
        self.delete([key])
        return data

    def copy(self, key: str, size: int) -> memoryview | None:
        # The pages stay shared until they are written to.
        return contents(f"{self.path}/{key}", size, writable=True)

    def holds(self, key: str, size: int) -> bool:
        return os.path.exists(f"{self.path}/{key}")

    def delete(self, keys: Collection[str]) -> None:
        for key in keys:
            path = f"{self.path}/{key}"
            with contextlib.suppress(OSError):
                if not self._spare.keep(path):
                    os.unlink(path)

    def renew(self, keys: Collection[str]) -> None:
        """Remove results whose replies were lost, and files that a killed process left incomplete.

        Files need no renewal.
        """
        now = clock.monotonic()
        if self._remove is None or now - self._looked < LOOK_FOR_STRAYS:
            return
        self._looked = now
        self._spare.drop(KEPT_FOR)
        known, time = set(keys), clock.wall()
        with contextlib.suppress(OSError):
            for entry in os.scandir(self.path):
                if entry.name in known or entry.name == SPARE or entry.name.endswith(".lock"):
                    continue
                age = time - entry.stat(follow_symlinks=False).st_mtime
                # A file that cannot be opened was renamed in between, or is gone.
                is_left = (
                    entry.name.startswith(UNFINISHED)
                    and age > LOCKED_WITHIN
                    and is_locked(entry.path) is False
                )
                if is_left or age > STRAY_AFTER:
                    self.delete([entry.name])

    def close(self) -> None:
        if self._remove is not None:
            self._remove()

    @contextlib.contextmanager
    def _file(self, path: Path, size: int) -> Iterator[int]:
        """Yield a descriptor of a file for a value: one that has memory already, or a new one."""
        file = self._spare.take(size, path)
        if file is None:
            self._make_room(size)
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            # If this process is killed, the kernel releases the lock.
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(file)

    def _make_room(self, size: int) -> None:
        # Checked before, so that other programs on this machine do not run out of room.
        if not self._has_room(size):
            self._spare.drop()
            if not self._has_room(size):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _has_room(self, size: int) -> bool:
        space = os.statvfs(self.path)
        return space.f_bavail * space.f_frsize >= size


def shared_memory_identity() -> str:
    """Return a text that is equal in two processes exactly if each finds the other's folders.

    It is empty if there is no shared memory.
    """
    root = shared_folder()
    if root is None:
        return ""
    found = root.stat()
    try:
        machine = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        machine = socket.gethostname()
    return f"{machine} {os.getuid()} {found.st_dev} {found.st_ino} {root}"


def _make(root: Path) -> tuple[Path, OwnerLock]:
    while True:
        path = root / f"{prefix()}{secrets.token_hex(16)}"
        path.mkdir(mode=0o700)
        # Between these two lines, a sweep may take the folder for that of a dead client.
        if (lock := OwnerLock.take(path, wait=True)) is not None:
            return path, lock


def _remove_own(path: Path, lock: OwnerLock) -> None:
    if lock.mine:
        remove(path, lock)


@contextlib.contextmanager
def _no_room(what: str, size: int, folder: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise ValueLostError(
            f"the folder {folder} is gone: the client that it belonged to has ended"
        ) from None
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise SystemFailureError(f"{what} cannot be written to {folder}: {error}") from error
        free = os.statvfs(folder)
        raise StoreFullError(
            f"{what} of {as_size(size)} does not fit into the shared memory at {folder}, where "
            f"{as_size(free.f_bavail * free.f_frsize)} are free: give it more (docker run "
            f"--shm-size=2g), or name "
            f"a larger folder in DISTRIBUTE_CHALLENGE_SHARED_FOLDER"
        ) from error
