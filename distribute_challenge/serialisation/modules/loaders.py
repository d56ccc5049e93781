"""Loaders of the client's modules, by what they are: source that travelled, and what cannot travel."""

import linecache
import os
from collections.abc import Sequence
from importlib.machinery import ExtensionFileLoader, ModuleSpec, NamespaceLoader, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any
from zipimport import ZipImportError, zipimporter

from distribute_challenge.serialisation.modules.project_modules import ProjectModule

__all__ = [
    "MissingLoader",
    "TravelledLoader",
    "compiled_spec",
    "missing_spec",
    "namespace_spec",
    "source_spec",
]


class TravelledLoader(SourceFileLoader):
    """Executes the source that travelled; data files are read from where the module's folder lies
    on this worker.

    Args:
        module: The module.
        filename: Its file on this worker, which need not exist.
        path: A package's folders on this worker.
    """

    def __init__(self, module: ProjectModule, filename: str, path: Sequence[str]) -> None:
        super().__init__(module.name, filename)
        self.project_module = module
        self._path = tuple(path)

    def is_package(self, fullname: str) -> bool:
        return self.project_module.is_package

    def get_source(self, fullname: str) -> str:
        return self.project_module.source or ""

    def get_code(self, fullname: str) -> CodeType:
        # By its name on the client: tracebacks are read there.
        return compile(
            self.get_source(fullname),
            self.project_module.filename or fullname,
            "exec",
            dont_inherit=True,
        )

    def get_data(self, path: str) -> bytes:
        archive = self._archive()
        return super().get_data(path) if archive is None else archive.get_data(path)

    def get_resource_reader(self, name: str | None = None) -> Any:
        archive = self._archive()
        return (
            super().get_resource_reader(name)
            if archive is None
            else archive.get_resource_reader(self.name)
        )

    def exec_module(self, module: ModuleType) -> None:
        # Tracebacks show the client's lines, also where the client's files do not exist.
        linecache.cache.pop(self.project_module.filename, None)
        linecache.lazycache(self.project_module.filename, vars(module))
        exec(self.get_code(module.__name__), vars(module))
        if self._path:
            # Where `__init__` extends the path, it has looked for folders on this machine alone.
            path = list(module.__path__)
            module.__path__ = [*path, *(folder for folder in self._path if folder not in path)]

    def _archive(self) -> Any:
        """What reads files of a package that lies in an archive on this machine; None for a folder."""
        folder = os.path.dirname(self.path)
        if os.path.isdir(folder):
            return None
        try:
            return zipimporter(
                os.path.dirname(folder) if self.project_module.is_package else folder
            )
        except ZipImportError:
            return None


class MissingLoader:
    """Says why a module is not to be had, when it is imported."""

    def __init__(self, module: ProjectModule) -> None:
        self.project_module = module

    def create_module(self, spec: ModuleSpec) -> None:
        module = self.project_module
        raise ImportError(module.problem, name=module.name, path=module.filename)

    def exec_module(self, module: ModuleType) -> None:
        """Never called."""


def source_spec(module: ProjectModule, filename: str, path: Sequence[str]) -> ModuleSpec:
    """The spec of a module whose source has travelled; arguments as for `TravelledLoader`."""
    loader: Any = TravelledLoader(module, filename, path)
    spec = ModuleSpec(module.name, loader, origin=filename or None, is_package=module.is_package)
    spec.has_location = bool(filename)
    if module.is_package:
        spec.submodule_search_locations = list(path[:1])
    return spec


def namespace_spec(name: str, path: Sequence[str]) -> ModuleSpec:
    """The spec of a package without ``__init__.py`` whose folders are known."""
    # It is not to look for others, in `sys.path`.
    loader: Any = NamespaceLoader(name, list(path), lambda name, path: None)
    spec = ModuleSpec(name, loader, is_package=True)
    spec.submodule_search_locations = loader._path
    return spec


def compiled_spec(module: ProjectModule) -> ModuleSpec:
    """The spec of a compiled module that lies where it lies on the client."""
    loader = ExtensionFileLoader(module.name, module.filename)
    spec = ModuleSpec(module.name, loader, origin=module.filename, is_package=module.is_package)
    spec.has_location = True
    if module.is_package:
        spec.submodule_search_locations = list(module.path)
    return spec


def missing_spec(module: ProjectModule) -> ModuleSpec:
    """The spec of a module that is not to be had."""
    loader: Any = MissingLoader(module)
    return ModuleSpec(module.name, loader, origin=module.filename)
