"""Loaders of the client's modules: for source that travelled, and for what cannot travel."""

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
    """Executes source that travelled, and reads data files from the module's folder on the worker.

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
        # Compiled under its name on the client, where the tracebacks are read.
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
        # So that tracebacks show the client's lines, also where the client's files do not exist.
        linecache.cache.pop(self.project_module.filename, None)
        linecache.lazycache(self.project_module.filename, vars(module))
        exec(self.get_code(module.__name__), vars(module))
        if self._path:
            # `__init__` may have extended the path, but only with folders of this machine.
            path = list(module.__path__)
            module.__path__ = [*path, *(folder for folder in self._path if folder not in path)]

    def _archive(self) -> Any:
        """Return a reader for a package in an archive on this machine; None for a folder."""
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
    """Raises the reason why a module is missing when that is imported."""

    def __init__(self, module: ProjectModule) -> None:
        self.project_module = module

    def create_module(self, spec: ModuleSpec) -> None:
        module = self.project_module
        raise ImportError(module.problem, name=module.name, path=module.filename)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing; the import system does not call it, because `create_module` raises."""


def source_spec(module: ProjectModule, filename: str, path: Sequence[str]) -> ModuleSpec:
    """Return the spec of a module whose source has travelled; arguments as in `TravelledLoader`."""
    loader: Any = TravelledLoader(module, filename, path)
    spec = ModuleSpec(module.name, loader, origin=filename or None, is_package=module.is_package)
    spec.has_location = bool(filename)
    if module.is_package:
        spec.submodule_search_locations = list(path[:1])
    return spec


def namespace_spec(name: str, path: Sequence[str]) -> ModuleSpec:
    """Return the spec of a package without ``__init__.py`` whose folders are known."""
    # The function keeps it from looking for more folders in `sys.path`.
    loader: Any = NamespaceLoader(name, list(path), lambda name, path: None)
    spec = ModuleSpec(name, loader, is_package=True)
    spec.submodule_search_locations = loader._path
    return spec


def compiled_spec(module: ProjectModule) -> ModuleSpec:
    """Return the spec of a compiled module that has the same path here as on the client."""
    loader = ExtensionFileLoader(module.name, module.filename)
    spec = ModuleSpec(module.name, loader, origin=module.filename, is_package=module.is_package)
    spec.has_location = True
    if module.is_package:
        spec.submodule_search_locations = list(module.path)
    return spec


def missing_spec(module: ProjectModule) -> ModuleSpec:
    """Return the spec of a module that this worker does not have."""
    loader: Any = MissingLoader(module)
    return ModuleSpec(module.name, loader, origin=module.filename)
