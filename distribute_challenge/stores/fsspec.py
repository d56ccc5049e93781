"""Keeps large values where fsspec reaches: in a shared folder, or in object storage.

    client: put ──> <url>/distribute_challenge-<client>/<key> ──> get: worker

Beside each client's folder lies its lease file, with the time at which the client last renewed it.
When a client starts, it removes the folders of leases that expired long ago.

Guarantees:

- The lease is written before the folder and removed after it: a folder without a lease has no
  owner.
"""

import contextlib
import errno
from collections.abc import Collection, Iterator
from typing import Any

from distribute_challenge.core import clock
from distribute_challenge.core.sizes import as_size
from distribute_challenge.errors import (
    BackendError,
    ForgedError,
    StoreFullError,
    SystemFailureError,
)
from distribute_challenge.log import logger
from distribute_challenge.security import Keyring, Purpose
from distribute_challenge.settings import masked
from distribute_challenge.stores.base import Store

__all__ = ["FsspecStore"]

LEASE = 3600.0  # Seconds. The clocks of two clients may differ by some minutes.
RENEW_EVERY = 300.0  # Seconds.
INSTALL = "pip install fsspec"
PREFIX = "distribute_challenge-"
ENDING = ".lease"


class FsspecStore(Store):
    """A store that keeps the values of one client as files.

    Unlike those of other stores, `renew` and `delete` may take as long as the storage does: seconds
    if it is far away.

    Args:
        url: URL of a folder for all clients, such as ``file:///mnt/shared`` or
            ``s3://bucket/prefix``.
        client: The client's id.
        keyring: Signs the values that are put here, and verifies those that are read.

    Raises:
        BackendError: A package for this kind of URL is not installed; with the line that installs
            it.
        SystemFailureError: The storage does not answer.
    """

    def __init__(self, url: str, client: str, keyring: Keyring) -> None:
        folder = f"{url.rstrip('/')}/{PREFIX}{client}"
        self._connect(folder, keyring)
        self._renewed = clock.monotonic()
        self._owns = True
        with _translated("be written to", self._place):
            root = self._folder.rpartition("/")[0]
            self._files.makedirs(root, exist_ok=True)
            self._write_lease()
            self._files.makedirs(self._folder, exist_ok=True)
        with self._tidying():
            self._remove_abandoned(root)

    @classmethod
    def attach(cls, folder: str, keyring: Keyring) -> "FsspecStore":
        """Return a store with which a worker reads a client's folder.

        Args:
            folder: URL of the client's folder.
            keyring: As for the class.

        Raises:
            BackendError: A package for this kind of URL is not installed here; with the line that
                installs it.
        """
        store = cls.__new__(cls)
        store._connect(folder, keyring)
        store._owns = False
        return store

    def put(self, key: str, data: memoryview) -> None:
        path = self._path(key)
        with _translated(f"take a value of {as_size(data.nbytes)}", self._place):
            try:
                with self._files.open(path, "wb") as file:
                    file.write(self._keyring.seal(Purpose.value(self.name, key), [data]))
            except BaseException:
                self.delete([key])
                raise

    def get(self, key: str, size: int) -> memoryview | None:
        with _translated(f"give a value of {as_size(size)}", self._place):
            try:
                sealed = self._files.cat_file(self._path(key))
            except FileNotFoundError:
                return None
        try:
            data = memoryview(self._keyring.open(Purpose.value(self.name, key), sealed))
        except ForgedError as error:
            self._keyring.refusals.note(f"a large value in {self._place}", str(error), key)
            return None
        return data if data.nbytes == size else None

    def holds(self, key: str, size: int) -> bool:
        with _translated("say what it has", self._place):
            return bool(self._files.exists(self._path(key)))

    def delete(self, keys: Collection[str]) -> None:
        paths = [self._path(key) for key in keys]
        with self._tidying():
            try:
                self._files.rm(paths)  # In one request: object storage takes long for each.
            except FileNotFoundError:
                for path in paths:
                    with contextlib.suppress(FileNotFoundError):
                        self._files.rm_file(path)

    def renew(self, keys: Collection[str]) -> None:
        now = clock.monotonic()
        if self._owns and now - self._renewed >= RENEW_EVERY:
            with self._tidying():
                self._write_lease()
                self._renewed = now

    def close(self) -> None:
        if self._owns:
            self._owns = False
            with self._tidying():
                self._remove(self._folder)

    def _connect(self, folder: str, keyring: Keyring) -> None:
        self._keyring = keyring
        self.name = f"fsspec:{folder}"
        self._place = masked(folder)
        try:
            import fsspec

            # Other processes write there as well, so a cached listing would be out of date.
            self._files, self._folder = fsspec.core.url_to_fs(folder, use_listings_cache=False)
        except ImportError as error:
            raise BackendError(
                f"large values go to {self._place}, which needs a package that is not installed "
                f"here ({error}):\n{INSTALL}"
            ) from error

    _files: Any

    def _path(self, key: str) -> str:
        return f"{self._folder}/{key}"

    def _write_lease(self) -> None:
        self._files.pipe_file(self._folder + ENDING, str(clock.wall()).encode())

    def _remove_abandoned(self, root: str) -> None:
        for path in self._files.ls(root, detail=False):
            folder = path.rstrip("/").removesuffix(ENDING)
            if folder.rpartition("/")[2].startswith(PREFIX) and not self._has_lease(folder):
                self._remove(folder)

    def _has_lease(self, folder: str) -> bool:
        try:
            return float(self._files.cat_file(folder + ENDING)) > clock.wall() - LEASE
        except FileNotFoundError:
            return False

    def _remove(self, folder: str) -> None:
        for path in (folder, folder + ENDING):
            with contextlib.suppress(FileNotFoundError):
                self._files.rm(path, recursive=True)

    @contextlib.contextmanager
    def _tidying(self) -> Iterator[None]:
        """Log every error of the block and go on: each kind of storage raises errors of its own."""
        try:
            yield
        except Exception as error:
            logger.warning("cannot tidy up in %s: %s", self._place, error)


@contextlib.contextmanager
def _translated(what: str, place: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        reason = f"{place} cannot {what}: {error}"
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFullError(
                f"{reason}; make room there, or name another place in DISTRIBUTE_CHALLENGE_STORE"
            ) from error
        raise SystemFailureError(f"{reason}; check DISTRIBUTE_CHALLENGE_STORE") from error
