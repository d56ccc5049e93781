"""Find modules without importing them, and tell which of them are the user's own.

A module is the user's own if its file lies neither in the standard library nor in
site-packages. Those are the files that workers do not have.
"""

import os
import sys
import sysconfig
from collections.abc import Iterable
from functools import cache
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    BuiltinImporter,
    FrozenImporter,
    ModuleSpec,
    PathFinder,
)
from types import ModuleType
from typing import Any, NamedTuple, TypeGuard

__all__ = [
    "Location",
    "find_in",
    "installed_spec",
    "is_compiled",
    "is_project_file",
    "is_project_module",
    "is_project_spec",
    "locate",
    "location_of",
]

_OWN_PACKAGE = __name__.partition(".")[0]
_SITE_FOLDERS = ("site-packages", "dist-packages")


class Location(NamedTuple):
    """Where a module of the project lies.

    Args:
        name: The module's full name.
        filename: Its file, as an absolute path; None for a package without ``__init__.py``.
        is_package: Whether it is a package.
        path: The folders of a package's submodules: its ``__path__``, as absolute paths.
        loader: The loader that has loaded the module, or would load it.
    """

    name: str
    filename: str | None
    is_package: bool
    path: tuple[str, ...]
    loader: Any


def is_project_module(name: Any) -> bool:
    """Whether a loaded module is one of the user's own files (or a package of them)."""
    module = sys.modules.get(name) if name and isinstance(name, str) else None
    if module is None or name == "__main__":
        return False
    return is_project_spec(getattr(module, "__spec__", None))


def is_project_file(path: str) -> bool:
    """Whether a file lies neither in the standard library nor in site-packages."""
    return _is_project_path(os.path.abspath(path))


def is_project_spec(spec: Any) -> TypeGuard[ModuleSpec]:
    """Whether a spec describes the user's own module: source, compiled, or a namespace package."""
    if not isinstance(spec, ModuleSpec) or spec.name.partition(".")[0] == _OWN_PACKAGE:
        return False
    if spec.has_location:
        origin = spec.origin or ""
        return (origin.endswith(".py") or is_compiled(origin)) and _is_project_path(origin)
    path = _search_path(spec.submodule_search_locations)
    return bool(path) and all(map(_is_project_path, path))


def is_compiled(filename: str) -> bool:
    """Whether a file is a compiled module in machine code."""
    return filename.endswith(tuple(EXTENSION_SUFFIXES))


def locate(name: str) -> Location | None:
    """Return where a module of the project lies; None for other modules and for other names."""
    loaded = sys.modules.get(name)
    spec = getattr(loaded, "__spec__", None) if isinstance(loaded, ModuleType) else _find_spec(name)
    if not is_project_spec(spec):
        return None
    # Code may extend a package's path when it is imported.
    return location_of(spec, getattr(loaded, "__path__", None))


def location_of(spec: ModuleSpec, path: Any = None) -> Location:
    """Return where the module of a spec lies.

    Args:
        spec: The module's spec.
        path: A package's ``__path__`` as it is now; None: as the spec has it.
    """
    is_package = spec.submodule_search_locations is not None
    filename = os.path.abspath(spec.origin) if spec.has_location and spec.origin else None
    folders = (
        _search_path(spec.submodule_search_locations if path is None else path)
        if is_package
        else ()
    )
    return Location(
        spec.name, filename, is_package, tuple(map(os.path.abspath, folders)), spec.loader
    )


def find_in(name: str, path: Iterable[str]) -> ModuleSpec | None:
    """Return the spec of a submodule in the folders of its package, which need not be imported."""
    path = list(path)
    try:
        return PathFinder.find_spec(name, path)
    except KeyError:
        # A folder without `__init__.py`: Python's own spec for it refers to the package.
        folders = [os.path.join(folder, name.rpartition(".")[2]) for folder in path]
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = list(filter(os.path.isdir, folders))
        return spec


def installed_spec(name: str) -> ModuleSpec | None:
    """Return the spec that an ordinary import would find in the folders of ``sys.path`` alone."""
    spec: ModuleSpec | None = None
    path: tuple[str, ...] = ()
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        package = ".".join(parts[:end])
        spec = PathFinder.find_spec(package) if end == 1 else find_in(package, path)
        if spec is None:
            return None
        path = _search_path(spec.submodule_search_locations)
    return spec


def _search_path(path: Any) -> tuple[str, ...]:
    try:
        return tuple(entry for entry in path or () if isinstance(entry, str))
    except Exception:  # A namespace package computes its path anew, and its parent may be gone.
        return ()


def _find_spec(name: str) -> ModuleSpec | None:
    """Return a module's spec; unlike `importlib.util.find_spec`, do not import its parents."""
    parent, _, _ = name.rpartition(".")
    if not parent:
        return PathFinder.find_spec(name) or _otherwise_found(name)
    loaded = sys.modules.get(parent)
    path = getattr(loaded, "__path__", None)
    if loaded is None:
        spec = _find_spec(parent)
        path = None if spec is None else spec.submodule_search_locations
    if path is None:
        return None
    return find_in(name, _search_path(path))


def _otherwise_found(name: str) -> ModuleSpec | None:
    """Ask the finders that are not Python's own for a module: above all, editable installations."""
    if name in sys.stdlib_module_names:
        return None
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        if find is None or finder in (BuiltinImporter, FrozenImporter, PathFinder):
            continue
        try:
            spec = find(name, None, None)
        except Exception:  # The finder may be the user's code; an import would show the error.
            continue
        if isinstance(spec, ModuleSpec):
            return spec
    return None


@cache
def _is_project_path(path: str) -> bool:
    real = os.path.realpath(path)
    if any(folder in real.split(os.sep) for folder in _SITE_FOLDERS):
        return False
    return not any(real.startswith(folder + os.sep) for folder in _library_folders())


@cache
def _library_folders() -> frozenset[str]:
    paths = sysconfig.get_paths()
    return frozenset(
        os.path.realpath(paths[key]) for key in ("stdlib", "platstdlib", "purelib", "platlib")
    )
