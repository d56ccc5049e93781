"""Find the folders of the client's packages on this worker: in place, or in a copy.

    client:                       /home/ann/shop/prices.txt
    worker that sees the folder:  /home/ann/shop/prices.txt
    worker that does not:         /tmp/distribute_challenge-…/1/shop/prices.txt

Guarantees:

- A folder is used in place only if the client knows that the worker sees it, or if all files
  that the client listed exist with the same time of modification and size.
- A copy holds what travelled with the call that runs. Files that calls have written into it
  stay.
- A process removes its copies when it ends; the copies of a killed process are removed by the
  next process that makes a copy.
"""

import atexit
import contextlib
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from distribute_challenge import settings
from distribute_challenge.serialisation.modules.package_files import Listing
from distribute_challenge.serialisation.modules.project_modules import ProjectModule
from distribute_challenge.serialisation.modules.source_text import stamp

if TYPE_CHECKING:
    from pathlib import Path

    from distribute_challenge.owned_folder import OwnerLock

__all__ = ["FolderCopies", "is_seen"]


class FolderCopies:
    """The folders of the active project, of which each worker process has one."""

    def __init__(self) -> None:
        self._root: str | None = None
        self._copies: dict[str, _Copy] = {}
        self._active: dict[str, _Copy] = {}

    def use(self, modules: Iterable[ProjectModule]) -> None:
        """Activate these modules: bring the copies of their folders up to date."""
        modules = list(modules)
        listings = dict(
            pair for module in modules for pair in module.files or () if module.is_package
        )
        self._active = {}
        for folder, files in listings.items():
            if not _is_folder_seen(folder, files):
                self._active[folder] = self._copy_of(folder)
                self._active[folder].update(_contents(folder, files, modules))
                self._active[folder].listing = files

    def here(self, path: str) -> str:
        """Return where a file or folder of the client lies on this worker, if it exists here."""
        for folder, copy in self._active.items():
            if path == folder or path.startswith(folder + os.sep):
                return copy.folder + path[len(folder) :]
        return path

    def at_client(self, path: str) -> str:
        """Return where a file or folder of this worker lies on the client."""
        for folder, copy in self._active.items():
            if path.startswith(copy.folder + os.sep):
                return folder + path[len(copy.folder) :]
        return path

    def why_missing(self, path: str) -> str | None:
        """Say why a file of a copied folder is missing on this worker; None for any other file."""
        for copy in self._active.values():
            if path.startswith(copy.folder + os.sep) and not os.path.exists(path):
                return copy.why_missing(path[len(copy.folder) + 1 :])
        return None

    def _copy_of(self, folder: str) -> "_Copy":
        if folder not in self._copies:
            if self._root is None:
                self._root = _make_root()
            name = os.path.basename(folder)
            self._copies[folder] = _Copy(os.path.join(self._root, str(len(self._copies)), name))
        return self._copies[folder]


class _Copy:
    """A copy of one folder as it was on the client.

    Attributes:
        folder: The copy's path.
        listing: The files of the folder on the client.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.listing: Listing = ()
        self._written: dict[str, bytes] = {}
        os.makedirs(folder, exist_ok=True)

    def update(self, contents: dict[str, bytes]) -> None:
        for name in self._written.keys() - contents.keys():
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(self.folder, name))
        for name, content in contents.items():
            if self._written.get(name) != content:
                path = os.path.join(self.folder, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "wb") as file:
                    file.write(content)
        self._written = contents

    def why_missing(self, name: str) -> str:
        name, package = os.path.normpath(name), os.path.basename(self.folder)
        left = {
            listed: size
            for listed, _, size, content in self.listing
            if content is None and listed not in self._written
        }
        if name not in left:
            return (
                f"{name} is not among the files of {package} that came from the client. Hidden "
                f"files and folders, virtual environments and compiled modules do not travel"
            )
        largest = max(left, key=lambda listed: left[listed])
        return (
            f"{name} of {package} stayed on the client's machine: with {left[name]:,} bytes it has "
            f"more than may travel (the largest file that stayed there is {largest}, with "
            f"{left[largest]:,} bytes). Raise {settings.DATA_FILE_LIMIT_VARIABLE} (bytes of one "
            f"file) or {settings.DATA_LIMIT_VARIABLE} (of all together) on the client, pass the "
            f"content as an argument, or keep the file where the workers find it"
        )


def is_seen(module: ProjectModule) -> bool:
    """Whether the files that the client has listed for a module are the same on this machine."""
    return module.files is None or all(
        _is_folder_seen(folder, files) for folder, files in module.files
    )


def _is_folder_seen(folder: str, files: Listing) -> bool:
    return os.path.isdir(folder) and all(
        stamp(os.path.join(folder, name)) == (time, size) for name, time, size, _ in files
    )


def _contents(folder: str, files: Listing, modules: Iterable[ProjectModule]) -> dict[str, bytes]:
    contents = {name: content for name, _, _, content in files if content is not None}
    for module in modules:
        if module.source is not None and module.filename.startswith(folder + os.sep):
            contents[module.filename[len(folder) + 1 :]] = module.source.encode(
                errors="surrogatepass"
            )
    return contents


def _make_root() -> str:
    # Imported here, because clients load this module and make no copies.
    import secrets
    import tempfile
    from pathlib import Path

    from distribute_challenge.owned_folder import OwnerLock, prefix, sweep

    temporary = Path(tempfile.gettempdir())
    sweep(temporary)
    root = temporary / f"{prefix()}project-{secrets.token_hex(8)}"
    root.mkdir(mode=0o700)
    lock = OwnerLock.take(root, wait=True)
    assert (
        lock is not None
    )  # The folder is new, and a sweep spares a folder whose maker waits for its lock.
    atexit.register(_remove, root, lock)
    return str(root)


def _remove(root: "Path", lock: "OwnerLock") -> None:
    from distribute_challenge.owned_folder import remove  # As in `_make_root`.

    if lock.mine:  # A forked child process must leave its parent's folder.
        remove(root, lock)
