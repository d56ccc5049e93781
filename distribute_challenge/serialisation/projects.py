"""Which modules are the user's own, and what source has to travel with a function that uses them.

A module is the user's own if its file lies neither in the standard library nor in site-packages. Those are the
files that no worker has. They travel as source, as they are on disk when the call is made, and the worker
imports them under their own names (`imports`): so relative imports, class identity, module-level locks and
caches work there as they do here.
"""

import ast
import dis
import os
import sys
import sysconfig
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import decode_source
from threading import Lock
from types import CodeType, ModuleType
from typing import NamedTuple

__all__ = ["ProjectModule", "Sources", "imported_names", "is_project_module"]

_OWN_PACKAGE = __name__.partition(".")[0]
_SITE_FOLDERS = ("site-packages", "dist-packages")
# Python 3.11 counts how deep it is in a tree for all threads together: two that parse at once can fail with a SystemError.
_parsing = Lock()


class ProjectModule(NamedTuple):
    """One source file on its way to a worker.

    ``source`` is None for a package without ``__init__.py``; ``imports`` names the modules that its source may
    import, whether or not they are modules of the project.
    """

    name: str
    filename: str
    is_package: bool
    source: str | None
    imports: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Located:
    """Where a project module lies, found without importing it."""

    name: str
    filename: str | None
    is_package: bool


class Sources:
    """The sources that a set of modules needs, read again only when a file has changed.

    Args:
        names: Modules that a function or its arguments refer to; everything they import, directly or
            not, and their parent packages come along.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = frozenset(names)
        self.modules: tuple[ProjectModule, ...] = ()
        self._stamps: dict[str, tuple[int, int]] = {}
        self._looked = time.monotonic()
        self._read()

    def is_fresh(self, within: float = 0.0) -> bool:
        """Whether every file is still as it was read.

        Args:
            within: Seconds; if the files were looked at as lately as that, they are not looked at again.
        """
        now = time.monotonic()
        if now - self._looked < within:
            return True
        self._looked = now
        return all(_stamp(filename) == stamp for filename, stamp in self._stamps.items())

    def _read(self) -> None:
        found: dict[str, ProjectModule] = {}
        waiting = sorted(self.names)
        while waiting:
            name = waiting.pop()
            located = None if name in found else _locate(name)
            if located is None:
                continue
            module = self._load(located)
            found[name] = module
            waiting.extend(module.imports)
        self.modules = tuple(found[name] for name in sorted(found))

    def _load(self, located: _Located) -> ProjectModule:
        parents = _parents(located.name)
        if located.filename is None:
            return ProjectModule(located.name, "", located.is_package, None, parents)
        self._stamps[located.filename] = _stamp(located.filename)
        with open(located.filename, "rb") as file:
            source = decode_source(file.read())
        package = located.name if located.is_package else located.name.rpartition(".")[0]
        imports = {*parents, *_imports_of_source(source, package)}
        return ProjectModule(located.name, located.filename, located.is_package, source, tuple(sorted(imports)))


def is_project_module(name: str | None) -> bool:
    """Whether a loaded module is one of the user's own source files (or a package of them)."""
    module = sys.modules.get(name) if name else None
    if module is None or name == "__main__":
        return False
    return _is_project_spec(getattr(module, "__spec__", None))


def imported_names(code: CodeType, package: str) -> Iterator[str]:
    """Full names of everything that a function's body imports, nested functions included.

    Args:
        code: The function's code.
        package: The function's ``__package__``, which relative imports start from.

    Example:
        >>> def f():
        ...     import json.decoder
        ...     from email import message
        >>> sorted(imported_names(f.__code__, ""))
        ['email', 'email.message', 'json.decoder']
    """
    instructions = list(dis.get_instructions(code))
    for position, instruction in enumerate(instructions):
        if instruction.opname == "IMPORT_NAME":
            level, names = instructions[position - 2].argval, instructions[position - 1].argval
            yield from _candidates(instruction.argval, names or (), level, package)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from imported_names(constant, package)


def _parents(name: str) -> tuple[str, ...]:
    parent = name.rpartition(".")[0]
    return (parent,) if parent else ()


def _imports_of_source(source: str, package: str) -> Iterator[str]:
    """Full names of all that a module imports anywhere in its source."""
    try:
        with _parsing:
            tree = ast.parse(source)
    except SyntaxError:
        return  # Importing it fails on the worker, with the line; nothing to find out here.
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            yield from _candidates(node.module or "", names, node.level, package)


def _candidates(module: str, names: tuple[str, ...], level: int, package: str) -> Iterator[str]:
    """``from module import names`` may mean attributes or submodules: name both."""
    if level:
        anchor = package.rsplit(".", level - 1)[0] if level > 1 else package
        module = f"{anchor}.{module}" if module else anchor
    yield module
    yield from (f"{module}.{name}" for name in names if name != "*")


def _locate(name: str) -> _Located | None:
    """Where a module of the project lies, or None for any other module and for what is no module."""
    loaded = sys.modules.get(name)
    spec = loaded.__spec__ if isinstance(loaded, ModuleType) else _find_spec(name)
    if spec is None or not _is_project_spec(spec):
        return None
    is_package = spec.submodule_search_locations is not None
    return _Located(name, spec.origin if spec.has_location else None, is_package)


def _find_spec(name: str) -> ModuleSpec | None:
    """A module's spec, without importing its parents as `importlib.util.find_spec` would."""
    parent, _, _ = name.rpartition(".")
    if not parent:
        return PathFinder.find_spec(name)
    loaded = sys.modules.get(parent)
    spec = loaded.__spec__ if loaded is not None else _find_spec(parent)
    if spec is None or spec.submodule_search_locations is None:
        return None
    return PathFinder.find_spec(name, list(spec.submodule_search_locations))


def _is_project_spec(spec: ModuleSpec | None) -> bool:
    if spec is None or spec.name.partition(".")[0] == _OWN_PACKAGE:
        return False
    if spec.has_location:
        return bool(spec.origin and spec.origin.endswith(".py") and _is_project_path(spec.origin))
    return bool(spec.submodule_search_locations) and all(map(_is_project_path, spec.submodule_search_locations or ()))


@cache
def _is_project_path(path: str) -> bool:
    real = os.path.realpath(path)
    if any(folder in real.split(os.sep) for folder in _SITE_FOLDERS):
        return False
    return not any(real.startswith(folder + os.sep) for folder in _library_folders())


@cache
def _library_folders() -> frozenset[str]:
    paths = sysconfig.get_paths()
    return frozenset(os.path.realpath(paths[key]) for key in ("stdlib", "platstdlib", "purelib", "platlib"))


def _stamp(filename: str) -> tuple[int, int]:
    """What changes when a file does; zeros for one that is gone."""
    try:
        status = os.stat(filename)
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)
