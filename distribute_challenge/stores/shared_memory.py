"""Large values as files in shared memory: written once, and read by every process of the machine
without a copy.

    client: put ──> a file ──> get: worker maps it         arguments
    client: adopt <── a file <── put: worker               results

Guarantees:

- A file has its name only when it is whole, and is never written to or made shorter after that.
- Only processes of the same user get in.
- The folder goes with its owner: at `close` or the end of the process; if that is killed, with the
  next `sweep` of anybody.
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

__all__ = ["SharedMemoryStore", "shared_memory_identity"]

# Seconds that a file which nobody knows may lie here; as long as replies wait for their client.
STRAY_AFTER = 3600.0
LOOK_FOR_STRAYS = 10.0  # Seconds between two looks at them.
UNFINISHED = "unfinished-"  # What the name of a file begins with that is being written.
LOCKED_WITHIN = (
    1.0  # Seconds in which such a file, once it is there, is locked by the process that writes it.
)

# Besides a file system without room: a quota, and a limit of this process on the size of files.
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM}


class SharedMemoryStore(Store):
    """A private folder for the values of one client.

    Args:
        root: Where to make it; the fitting one is `settings.shared_folder`.

    Raises:
        StoreFullError: Not even an empty folder can be made there.
        SystemFailureError: It cannot be written to.

    Attributes:
        path: The folder.
    """

    maps = True

    def __init__(self, root: Path) -> None:
        with _no_room("a folder", 0, root):
            self.path, lock = _make(root)
        self.name = f"folder:{self.path}"
        self._looked = clock.monotonic()
        # Also at the end of a process that forgot to close it.
        self._remove = weakref.finalize(self, _remove_own, self.path, lock)

    @classmethod
    def attach(cls, path: Path) -> "SharedMemoryStore | None":
        """A worker's way in, to read arguments and leave results.

        Args:
            path: Of the client's folder.

        Returns:
            None if this process does not share memory with the client: the folder is not in its own
                `settings.shared_folder`, not
            there, another user's, or its owner is dead.
        """
        if path.parent != shared_folder() or not is_own_folder(path) or not OwnerLock.is_held(path):
            return None
        store = cls.__new__(cls)
        store.path, store.name = path, f"folder:{path}"
        store._remove = None
        return store

    _remove: "weakref.finalize[..., SharedMemoryStore] | None"

    def put(self, key: str, data: memoryview) -> None:
        with _no_room("a value", data.nbytes, self.path):
            # Before there is too little for everybody else on this machine.
            space = os.statvfs(self.path)
            if space.f_bavail * space.f_frsize < data.nbytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            unfinished = self.path / f"{UNFINISHED}{secrets.token_hex(8)}"
            try:
                _write(unfinished, data, self.path / key)
            except BaseException:
                unfinished.unlink(missing_ok=True)
                raise

    def get(self, key: str, size: int) -> memoryview | None:
        return contents(f"{self.path}/{key}", size)

    def adopt(self, key: str, size: int) -> memoryview | None:
        """A result: taken out of the folder, and the caller's alone from now on, to be written to
        as well.

        Returns:
            None if it is not there. Its memory goes when nobody keeps the buffer.
        """
        data = contents(f"{self.path}/{key}", size, writable=True)
        self.delete([key])
        return data

    def holds(self, key: str, size: int) -> bool:
        return os.path.exists(f"{self.path}/{key}")

    def delete(self, keys: Collection[str]) -> None:
        for key in keys:
            with contextlib.suppress(OSError):
                os.unlink(f"{self.path}/{key}")

    def renew(self, keys: Collection[str]) -> None:
        """Files need no renewing; but results whose replies were lost are found here, and what a
        killed process left half written.
        """
        now = clock.monotonic()
        if self._remove is None or now - self._looked < LOOK_FOR_STRAYS:
            return
        self._looked = now
        known, time = set(keys), clock.wall()
        with contextlib.suppress(OSError):
            for entry in os.scandir(self.path):
                if entry.name in known or entry.name.endswith(".lock"):
                    continue
                age = time - entry.stat(follow_symlinks=False).st_mtime
                # One that cannot be opened has its name by now, or is gone.
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


def shared_memory_identity() -> str:
    """Text that is the same in two processes exactly if each finds the other's folders; empty where
    there is no shared memory.
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
        # A sweep may come by between these two lines and take it for a dead client's.
        if (lock := OwnerLock.take(path, wait=True)) is not None:
            return path, lock


def _remove_own(path: Path, lock: OwnerLock) -> None:
    if lock.mine:
        remove(path, lock)


def _write(path: Path, data: memoryview, to: Path) -> None:
    """Write a file, and give it its name when it is complete."""
    # By `write` and not into a map: where memory runs out in the middle, this is an error and that
    # a SIGBUS.
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        # The kernel takes it back from a process that is killed meanwhile.
        fcntl.flock(file, fcntl.LOCK_EX)
        while data:
            data = data[os.write(file, data) :]
        path.rename(to)
    finally:
        os.close(file)


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
