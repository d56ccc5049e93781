"""Find the parts of the user's own project that have to travel with a function that uses it.

The project's modules are the files that no worker has (`locations`). They travel as source, as
they are on disk when the call is made, and the worker imports them under their own names
(`project_importer`): so relative imports, class identity, module-level locks and caches work there
as they do here. Where workers do not see the client's files, other files of the project's packages
travel, too (`package_files`).
"""

import os
import sys
from bisect import bisect_left
from collections.abc import Iterable
from typing import NamedTuple

from distribute_challenge.core import clock
from distribute_challenge.serialisation.modules.locations import (
    Location,
    is_compiled,
    is_project_file,
    is_project_module,
    locate,
)
from distribute_challenge.serialisation.modules.package_files import (
    PAUSE,
    Listing,
    PackageFiles,
    outermost,
)
from distribute_challenge.serialisation.modules.source_text import (
    Stamp,
    imported_names,
    read_text,
    stamp,
)

__all__ = [
    "ProjectModule",
    "Sources",
    "imported_names",
    "is_project_file",
    "is_project_module",
    "project_module",
]

# Seconds after which a loop that submits calls checks files again, however long the last check took:
# to ask for a file gives way to the process's other threads, which may take milliseconds.
LONGEST_PAUSE = 0.2


class ProjectModule(NamedTuple):
    """One module on its way to a worker.

    Args:
        name: Its full name.
        filename: Its file on the client; empty for a package without ``__init__.py``.
        is_package: Whether it is a package.
        source: Its source; None for a package without ``__init__.py``, and for a module that cannot
            travel.
        imports: Names of the modules that its source may import, in the project or not.
        path: A package's ``__path__`` on the client.
        files: The client's folders and the files in them; None where the worker sees these folders.
        problem: The error of importing it where it is missing; empty if its source travels.
    """

    name: str
    filename: str
    is_package: bool
    source: str | None
    imports: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    files: tuple[tuple[str, Listing], ...] | None = None
    problem: str = ""


class Sources:
    """The modules that a function needs, read again only when a file has changed.

    Args:
        names: Modules that a function or its arguments refer to; everything they import, directly
            or not, and their parent packages come along.
        with_files: Whether other files of their packages come along, for workers that do not see
            them.
    """

    def __init__(self, names: Iterable[str], *, with_files: bool = False) -> None:
        self.names = frozenset(names)
        self.modules: tuple[ProjectModule, ...] = ()
        self._with_files = with_files
        self._files: PackageFiles | None = None
        self._stamps: dict[str, Stamp] = {}
        self._looked = clock.monotonic()
        self._pause = 0.0
        self._read()

    def is_fresh(self, within: float = 0.0) -> bool:
        """Whether no file has changed since it was read.

        Args:
            within: Seconds; files that were checked no longer ago than this are not checked again.
                Checks that take long, as those of a process whose other threads are busy, are
                fewer; 0: files are always checked.
        """
        now = clock.monotonic()
        if within and now - self._looked < max(within, self._pause):
            return True
        self._looked = now
        is_fresh = all(stamp(filename) == known for filename, known in self._stamps.items()) and (
            self._files is None or self._files.is_fresh()
        )
        self._pause = min(PAUSE * (clock.monotonic() - now), LONGEST_PAUSE)
        return is_fresh

    def _read(self) -> None:
        found: dict[str, ProjectModule] = {}
        loaded = _Loaded()
        waiting = sorted(self.names)
        while waiting:
            name = waiting.pop()
            location = None if name in found else locate(name)
            if location is None:
                continue
            if location.filename is not None:
                self._stamps[location.filename] = stamp(location.filename)
            module = found[name] = project_module(location)
            waiting.extend(module.imports)
            if self._with_files and module.is_package:
                # A package may have imported its modules by name, as packages of plug-ins do.
                waiting.extend(loaded.inside(name))
        if self._with_files:
            self._list_files(found)
        self.modules = tuple(found[name] for name in sorted(found))

    def _list_files(self, found: dict[str, ProjectModule]) -> None:
        folders = outermost(folder for module in found.values() for folder in module.path)
        sources = frozenset(
            module.filename for module in found.values() if module.source is not None
        )
        self._files = PackageFiles(folders, sources)
        listings = self._files.listings
        for name, module in found.items():
            files = tuple(
                (folder, listings[folder]) for folder in module.path if folder in listings
            )
            if is_compiled(module.filename) and not module.is_package:
                folder, basename = os.path.split(module.filename)
                files = ((folder, ((basename, *stamp(module.filename), None),)),)
            found[name] = module._replace(files=files)


def project_module(location: Location) -> ProjectModule:
    """Return a module as it travels, without the files of its package."""
    name, filename, is_package, path, loader = location
    parents = _parents(name)
    sent = getattr(loader, "project_module", None)
    if isinstance(sent, ProjectModule):
        # The module has travelled already: this is a call inside a call. The file at its path on
        # this machine may be a different one.
        return sent
    if filename is None:
        return ProjectModule(name, "", is_package, None, parents, path)
    if is_compiled(filename):
        problem = (
            f"{name} is a compiled module ({filename} on the client), and compiled modules do not "
            f"travel. Install the package "
            f"that it belongs to on the worker"
        )
        return ProjectModule(name, filename, is_package, None, parents, path, problem=problem)
    text = read_text(location, stamp(filename))
    imports = tuple(sorted({*parents, *text.imports}))
    return ProjectModule(
        name, filename, is_package, text.source, imports, path, problem=text.problem
    )


class _Loaded:
    """The names of the modules that are loaded, which may be ten thousand, in order."""

    def __init__(self) -> None:
        self._names: list[str] | None = None

    def inside(self, package: str) -> list[str]:
        """Return those inside a package."""
        if self._names is None:
            self._names = sorted(sys.modules)
        first = bisect_left(self._names, f"{package}.")
        # "/" follows ".", so no name with the dot comes after one with the slash.
        return self._names[first : bisect_left(self._names, f"{package}/", first)]


def _parents(name: str) -> tuple[str, ...]:
    parent = name.rpartition(".")[0]
    return (parent,) if parent else ()
