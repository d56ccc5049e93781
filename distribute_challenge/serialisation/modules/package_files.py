"""The files of the project's packages that travel to workers on other machines: data, and modules
that are imported by name.

All that lies in the folders of a package, and below them, is listed with its stamp, so that a
worker can tell whether it sees the very same files. What is small enough is read and travels; a
worker whose machine has not got it finds it in a copy of the folder.

Never looked at: hidden files and folders, caches, version control, virtual environments,
installed packages, compiled modules, and what lies beside top-level modules, which may be
anything.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from importlib.machinery import EXTENSION_SUFFIXES

from distribute_challenge import settings
from distribute_challenge.core import clock
from distribute_challenge.serialisation.modules import zipped
from distribute_challenge.serialisation.modules.source_text import Stamp, stamp

__all__ = ["Listing", "PackageFiles", "outermost"]

#: The files of one folder: name relative to it, time of modification, size, and content, or None
#: where that stays behind.
Listing = tuple[tuple[str, int, int, bytes | None], ...]

MOST_FILES = 10_000  # Of one folder; a guess: more are no package's.
PAUSE = 20.0  # Times as long as the last look took, until the next,
LONGEST_PAUSE = 1.0  # but no longer than so many seconds.

_SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules", "site-packages", "dist-packages"})
_SKIPPED_FILES = (".pyc", ".pyo", *EXTENSION_SUFFIXES)

# All functions of a project have the same packages.
_contents: dict[str, tuple[Stamp, bytes]] = {}


class PackageFiles:
    """The files of some folders, as they were when they were last looked at.

    Args:
        folders: Absolute paths of folders, which may lie in an archive; none within another.
        sources: Files that travel as modules and are listed only.

    Attributes:
        listings: What travels, by folder.
    """

    def __init__(self, folders: Iterable[str], sources: frozenset[str]) -> None:
        self._folders = sorted(folders)
        self._names, self._due = self._look()
        self.listings = self._read(sources)

    def is_fresh(self) -> bool:
        """Whether no file has changed, come or gone.

        If the last look was only just now, there is no other.
        """
        if clock.monotonic() < self._due:
            return True
        names, self._due = self._look()
        return names == self._names

    def _look(self) -> tuple[dict[str, list[tuple[str, int, int]]], float]:
        begin = clock.monotonic()
        names = {folder: sorted(_files(folder)) for folder in self._folders}
        end = clock.monotonic()
        return names, end + min(PAUSE * (end - begin), LONGEST_PAUSE)

    def _read(self, sources: frozenset[str]) -> dict[str, Listing]:
        """The contents, the smallest first, until there are as many bytes as may travel."""
        largest, left = settings.data_file_limit(), settings.data_limit()
        contents: dict[tuple[str, str], bytes | None] = {}
        sizes = [
            (size, folder, name) for folder, files in self._names.items() for name, _, size in files
        ]
        for size, folder, name in sorted(sizes):
            path = os.path.join(folder, name)
            if path in sources or size > largest or size > left:
                continue
            content = contents[folder, name] = _content(path)
            left -= len(content or b"")
        return {
            folder: tuple(
                (name, time, size, contents.get((folder, name))) for name, time, size in files
            )
            for folder, files in self._names.items()
        }


def outermost(folders: Iterable[str]) -> list[str]:
    """Those of some folders that do not lie in another of them.

    Examples:
        >>> outermost(["/a/b", "/a", "/ab"])
        ['/a', '/ab']
    """
    found: list[str] = []
    for folder in sorted(set(folders)):
        if not any(folder.startswith(outer + os.sep) for outer in found):
            found.append(folder)
    return found


def _files(folder: str) -> Iterator[tuple[str, int, int]]:
    """Name relative to the folder, time of modification and size of each file."""
    if not os.path.isdir(folder):
        time, _ = stamp(folder)
        for name, size in zipped.members(folder):
            parts = name.split("/")
            if not any(map(_is_skipped, parts[:-1])) and _may_travel(parts[-1]):
                yield name, time, size
        return
    count = 0
    seen: set[tuple[int, int]] = set()
    waiting = [""]
    while waiting:
        inner = waiting.pop()
        for entry in _entries(os.path.join(folder, inner)):
            name = os.path.join(inner, entry.name)
            try:
                status = entry.stat()
            except OSError:  # A link that leads nowhere, or it has just gone.
                continue
            if stat.S_ISDIR(status.st_mode):
                place = (status.st_dev, status.st_ino)
                if not _is_skipped(entry.name) and place not in seen:  # A link may lead back.
                    seen.add(place)
                    waiting.append(name)
            elif stat.S_ISREG(status.st_mode) and _may_travel(entry.name):
                yield name, status.st_mtime_ns, status.st_size
                count += 1
                if count == MOST_FILES:
                    return


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError:
        return []
    is_environment = any(entry.name == "pyvenv.cfg" for entry in entries)
    return [] if is_environment else entries


def _is_skipped(folder: str) -> bool:
    return folder.startswith(".") or folder in _SKIPPED_FOLDERS


def _may_travel(name: str) -> bool:
    return not name.startswith(".") and not name.endswith(_SKIPPED_FILES)


def _content(path: str) -> bytes | None:
    current = stamp(path)
    known = _contents.get(path)
    if known is not None and known[0] == current:
        return known[1]
    try:
        content = zipped.read(path)
    except OSError:
        return None  # Its owner may read it, but not this user.
    _contents[path] = current, content
    return content
