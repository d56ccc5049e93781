"""Import the client's own modules on a worker, from the source that came with a call.

Guarantees:

- While a call runs, `sys.modules` holds exactly the versions of the project's modules that its
  client sent, whatever was imported for an earlier call or lies in the worker's own folder. With
  them it holds the modules of calls in the same message, whose results may be pickled later.
- A module is executed once per worker process and version. Its version is its source together
  with that of all project modules it can reach, so two functions of one project share their
  modules, and an edit of one file renews every module that depends on it. Data files are not
  part of the version: as in any process, a module does not notice that a file it has read changes.
- A module that no import statement names, such as a plug-in, is found in the folders of its
  package when it is imported, and has a version like all others.
- Not safe for threads: only a process that runs one call at a time may activate modules.
"""

import importlib
import os
import sys
import time
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import ModuleType
from typing import Any

from distribute_challenge.serialisation.modules.folder_copies import FolderCopies, is_seen
from distribute_challenge.serialisation.modules.import_graph import components
from distribute_challenge.serialisation.modules.loaders import (
    compiled_spec,
    missing_spec,
    namespace_spec,
    source_spec,
)
from distribute_challenge.serialisation.modules.locations import (
    find_in,
    installed_spec,
    is_compiled,
    is_project_spec,
    location_of,
)
from distribute_challenge.serialisation.modules.project_modules import ProjectModule, project_module
from distribute_challenge.serialisation.modules.source_text import Stamp, stamp
from distribute_challenge.serialisation.modules.versions import VersionDigests

__all__ = ["ProjectImporter", "note_missing_file"]

_BEGUN = time.time_ns()
PAUSE = 30e-6  # Seconds for each file until the next check: checks take a twentieth of the time.


class ProjectImporter:
    """Serves the modules of the active project from memory; each worker process has one.

    It is a finder by its methods alone. The base classes in `importlib.abc` take a tenth of a
    client's loading time, and only a worker needs them.
    """

    def __init__(self) -> None:
        self._sent: Sequence[ProjectModule] = ()
        self._sent_versions: dict[str, str] | None = {}
        self._active: dict[str, ProjectModule] = {}
        self._versions: dict[str, str] = {}
        self._loaded: dict[tuple[str, str], ModuleType] = {}
        self._folders = FolderCopies()
        self._digests = VersionDigests(self._folders.here)
        # Modules that did not come with the call, but were found in its packages' folders: source
        # files with their stamps in `_found`, all others in `_others`.
        self._found: dict[str, tuple[str, Stamp]] = {}
        self._found_before: set[str] = set()
        self._others: set[str] = set()
        self._due = 0.0

    def activate(self, modules: Sequence[ProjectModule]) -> None:
        """Let imports find these project modules, and swap out modules of other versions."""
        is_current = self._is_current()
        if modules is self._sent and is_current:
            return
        self._folders.use(modules)
        by_name = {module.name: module for module in modules}
        versions = self._digests.versions(by_name, by_name)
        if versions == self._sent_versions and is_current:
            self._sent = modules
            return
        # An interrupt may come at any moment; then the next call begins anew.
        self._sent, self._sent_versions = (), None
        self._put_away()
        self._active = by_name
        self._versions = dict(versions)
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)
        importlib.invalidate_caches()
        self._bring_back(versions)
        for name in sorted(self._found_before):
            self._find(name)
        self._bring_back(self._versions.keys() - versions.keys())
        self._sent, self._sent_versions = modules, versions

    def add(self, modules: Sequence[ProjectModule]) -> bool:
        """Let imports find these project modules, too; those that are active stay.

        Returns:
            Whether they do; False: one of them is active in another version.
        """
        if all(self._active.get(module.name) == module for module in modules):
            return True
        by_name = {module.name: module for module in modules}
        self._folders.use([*self._active.values(), *modules])
        versions = self._digests.versions(by_name, by_name)
        if any(self._versions.get(name, version) != version for name, version in versions.items()):
            return False
        added = [name for name in by_name if name not in self._active]
        self._sent, self._sent_versions = (), None
        self._active = by_name | self._active
        self._versions |= versions
        importlib.invalidate_caches()
        self._bring_back(added)
        return True

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return the spec of an active project module; None lets the ordinary import go on."""
        if fullname not in self._active:
            spec = self._find(fullname)
            if fullname not in self._active:
                return spec
        return self._spec(self._active[fullname])

    def why_missing(self, path: str) -> str | None:
        """Say why a file of the project is not on this worker; None for any other file."""
        return self._folders.why_missing(path)

    def _spec(self, module: ProjectModule) -> ModuleSpec:
        path = [self._folders.here(folder) for folder in module.path]
        if module.source is not None:
            return source_spec(module, self._folders.here(module.filename), path)
        if not module.problem:
            return namespace_spec(module.name, path)
        if is_compiled(module.filename):
            if os.path.isfile(module.filename) and is_seen(module):
                return compiled_spec(module)
            return installed_spec(module.name) or missing_spec(module)
        return missing_spec(module)

    def _find(self, name: str) -> ModuleSpec | None:
        """Look for a module that did not come with the call in the folder of its active package.

        Source and folders become active modules. The spec of any other module is returned.
        """
        parent = self._active.get(name.rpartition(".")[0])
        if parent is None or name in self._active:
            return None
        spec = find_in(name, self._path(parent))
        if spec is None or not is_project_spec(spec):
            return None
        location = location_of(spec)
        if location.filename is not None and not location.filename.endswith(".py"):
            # Dropped when the project changes, as its name may then stand for another module.
            self._others.add(name)
            return spec
        module = project_module(location)
        if location.filename is not None:
            self._found[name] = location.filename, stamp(location.filename)
        self._found_before.add(name)
        self._active[name] = module._replace(
            filename=self._folders.at_client(module.filename),
            path=tuple(map(self._folders.at_client, module.path)),
        )
        for imported in module.imports:
            self._find(imported)
        self._versions[name] = self._digests.versions([name], self._active)[name]
        return None

    def _is_current(self) -> bool:
        """Whether the files of the modules that were found are the same as when they were read."""
        now = time.monotonic()
        if now < self._due:
            return True
        self._due = now + PAUSE * len(self._found)
        return all(stamp(filename) == known for filename, known in self._found.values())

    def _path(self, package: ProjectModule) -> list[str]:
        """Return the folders of a package's modules; code on this worker may have added some."""
        loaded = sys.modules.get(package.name)
        return list(getattr(loaded, "__path__", None) or map(self._folders.here, package.path))

    def _put_away(self) -> None:
        away = {name: sys.modules.get(name) for name in self._versions}
        for name, module in away.items():
            if module is None:
                continue
            self._loaded[name, self._versions[name]] = module
            del sys.modules[name]
            # Otherwise `from package import name` would still find this module in the package.
            parent, _, child = name.rpartition(".")
            if getattr(away.get(parent), "__dict__", {}).get(child) is module:
                delattr(away[parent], child)
        for name in self._others:
            sys.modules.pop(name, None)
        self._others.clear()
        self._found.clear()

    def _bring_back(self, names: Iterable[str]) -> None:
        names = list(names)
        as_sent = self._loaded_as_sent(names)
        for name in names:
            version = self._versions[name]
            # A module of the same name in the worker's own folder must not shadow the client's.
            loaded = sys.modules.pop(name, None)
            if loaded is not None and name in as_sent:
                self._loaded.setdefault((name, version), loaded)
            if (name, version) in self._loaded:
                sys.modules[name] = self._loaded[name, version]
        for name in names:
            parent, _, child = name.rpartition(".")
            if parent in sys.modules and name in sys.modules:
                setattr(sys.modules[parent], child, sys.modules[name])

    def _loaded_as_sent(self, names: Iterable[str]) -> set[str]:
        """Find modules that this process has loaded, with all they reach, from the sources sent.

        `django.setup` on the worker may have loaded them: models must not be defined twice.
        """
        loaded = {name for name in names if name in sys.modules}
        as_sent: dict[str, bool] = {}
        for component in components(loaded, self._active):
            imported = {name for each in component for name in self._active[each].imports}
            fits = all(as_sent.get(name, True) for name in imported) and all(
                _is_from_source(sys.modules[name], self._active[name])
                for name in component
                if name in sys.modules
            )
            as_sent.update(dict.fromkeys(component, fits))
        return {name for name in loaded if as_sent[name]}


def _is_from_source(loaded: ModuleType, module: ProjectModule) -> bool:
    spec = getattr(loaded, "__spec__", None)
    if spec is None or module.source is None or spec.origin != module.filename:
        return False
    # A file that is older than this process has not changed since it was loaded.
    is_older = 0 < stamp(module.filename)[0] < _BEGUN
    return (
        is_older
        and type(spec.loader) is SourceFileLoader
        and spec.loader.get_source(module.name) == module.source
    )


def note_missing_file(error: BaseException) -> None:
    """Add a note to an error that says why a file of the project is missing on this worker.

    Only files that the call looked for in the folder of a package of its project get a note.
    """
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if isinstance(cause, OSError) and isinstance(cause.filename, str):
            for finder in sys.meta_path:
                reason = (
                    finder.why_missing(cause.filename)
                    if isinstance(finder, ProjectImporter)
                    else None
                )
                if reason is not None:
                    error.add_note(reason)
        cause = cause.__cause__ or cause.__context__
