"""The files of the project's packages that travel to workers on other machines.

They are data files, and modules that are imported by name. All files in the folders of a package,
and below them, are listed with their stamps, so that a worker can tell whether it sees the very
same files. Small files are read and travel; a worker whose machine does not have them finds them
in a copy of the folder.

These are never listed: hidden files and folders, caches, version control, virtual environments,
installed packages, compiled modules, and files beside top-level modules, which may be anything.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from importlib.machinery import EXTENSION_SUFFIXES

from distribute_challenge import settings
from distribute_challenge.core import clock
from distribute_challenge.serialisation.modules import zipped
from distribute_challenge.serialisation.modules.source_text import Stamp, stamp

__all__ = ["PAUSE", "Listing", "PackageFiles", "outermost"]

#: The files of one folder: name relative to it, time of modification in nanoseconds, size in
#: bytes, and content, or None if the content does not travel.
Listing = tuple[tuple[str, int, int, bytes | None], ...]

MOST_FILES = 10_000  # Of one folder; a guess: a package has fewer.
PAUSE = 20.0  # Until the next check, as a multiple of the time that the last one took.
LONGEST_PAUSE = 1.0  # Seconds.

_SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules", "site-packages", "dist-packages"})
_SKIPPED_FILES = (".pyc", ".pyo", *EXTENSION_SUFFIXES)

# By path. All functions of a project share its packages.
_contents: dict[str, tuple[Stamp, bytes]] = {}


class PackageFiles:
    """The files of some folders, as they were when they were last read.

    Args:
        folders: Absolute paths of folders, which may lie in an archive; none within another.
        sources: Files that travel as modules, and are only listed here.

    Attributes:
        listings: The files that travel, by folder.
    """

    def __init__(self, folders: Iterable[str], sources: frozenset[str]) -> None:
        self._folders = sorted(folders)
        self._names, self._due = self._look()
        self.listings = self._read(sources)

    def is_fresh(self) -> bool:
        """Whether no file has changed, been added or been removed.

        If the last check was only just now, there is no new one.
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
        """Read the contents, the smallest first, up to the number of bytes that may travel."""
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
    """Return the folders that do not lie in another one of them.

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
    """Yield each file's name relative to the folder, its time of modification and its size."""
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
            except OSError:  # A broken link, or the file has just been removed.
                continue
            if stat.S_ISDIR(status.st_mode):
                place = (status.st_dev, status.st_ino)
                if not _is_skipped(entry.name) and place not in seen:  # Links may form a cycle.
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
        return None  # This user may not read it.
    _contents[path] = current, content
    return content
