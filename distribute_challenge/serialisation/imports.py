"""The worker's end of `projects`: importing the client's own modules from the source that came with a call.

Guarantees:

- While a call runs, `sys.modules` holds exactly the versions of the project's modules that its client sent, whatever
  was imported for an earlier call or lies in the worker's own folder.
- A module is executed once per worker process and version: its version is its source together with that of all
  project modules it can reach, so two functions of one project share their modules, and an edit of one file renews
  every module that depends on it.
- Not safe for threads: only a process that runs one call at a time may activate.
"""

import importlib
import linecache
import sys
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import Any

from distribute_challenge.serialisation.projects import ProjectModule

__all__ = ["ProjectImporter"]


class ProjectImporter:
    """Serves the modules of whichever project is active, from memory.

    It is a finder, and `_Loader` a loader, by their methods alone: the base classes in `importlib.abc` take a client
    a tenth of its time to load, and only a worker imports with these.
    """

    def __init__(self) -> None:
        self._active: dict[str, _Loader] = {}
        self._versions: dict[str, str] = {}
        self._loaded: dict[tuple[str, str], ModuleType] = {}

    def activate(self, modules: Sequence[ProjectModule]) -> None:
        """Make these the project modules that imports find, and swap out those of another version."""
        versions = _versions(modules)
        if versions == self._versions:
            return
        self._put_away()
        self._active = {module.name: _Loader(module) for module in modules}
        self._versions = versions
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)
        self._bring_back()
        importlib.invalidate_caches()

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """The spec of an active project module; None lets the ordinary import go on."""
        loader = self._active.get(fullname)
        return None if loader is None else loader.spec()

    def _put_away(self) -> None:
        for name, version in self._versions.items():
            module = sys.modules.pop(name, None)
            if module is not None:
                self._loaded[name, version] = module

    def _bring_back(self) -> None:
        for name, version in self._versions.items():
            # A module of the same name that the worker's own folder holds must not shadow the client's.
            sys.modules.pop(name, None)
            if (name, version) in self._loaded:
                sys.modules[name] = self._loaded[name, version]
        for name in self._versions:
            parent, _, child = name.rpartition(".")
            if parent in sys.modules and name in sys.modules:
                setattr(sys.modules[parent], child, sys.modules[name])


class _Loader:
    def __init__(self, module: ProjectModule) -> None:
        self._module = module

    def spec(self) -> ModuleSpec:
        module = self._module
        loader: Any = self
        spec = ModuleSpec(module.name, loader, origin=module.filename or None, is_package=module.is_package)
        spec.has_location = bool(module.filename)
        return spec

    def is_package(self, fullname: str) -> bool:
        return self._module.is_package

    def get_source(self, fullname: str) -> str:
        return self._module.source or ""

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.get_source(fullname), self._module.filename or fullname, "exec", dont_inherit=True)

    def create_module(self, spec: ModuleSpec) -> None:
        """Nothing special: an ordinary module."""

    def exec_module(self, module: ModuleType) -> None:
        # Tracebacks show the client's lines, also where the client's files do not exist.
        linecache.cache.pop(self._module.filename, None)
        linecache.lazycache(self._module.filename, vars(module))
        exec(self.get_code(module.__name__), vars(module))


def _versions(modules: Iterable[ProjectModule]) -> dict[str, str]:
    """A version for each module: the digest of its source and of all that it can reach through imports."""
    by_name = {module.name: module for module in modules}
    return {name: _version(_reachable(name, by_name)) for name in by_name}


def _version(modules: Iterable[ProjectModule]) -> str:
    from hashlib import sha256  # As in `functions`.

    digest = sha256()
    for module in sorted(modules):
        digest.update(repr(module).encode())
    return digest.hexdigest()


def _reachable(name: str, by_name: dict[str, ProjectModule]) -> set[ProjectModule]:
    reached: set[ProjectModule] = set()
    waiting = [name]
    while waiting:
        module = by_name.get(waiting.pop())
        if module is not None and module not in reached:
            reached.add(module)
            waiting.extend(module.imports)
    return reached
