"""Pickles the functions and classes of this process's script: one by itself, or one by its name."""

import io
import types
from typing import Any, Final

from distribute_challenge.core.needs import collecting_nothing
from distribute_challenge.serialisation.modules.locations import locate
from distribute_challenge.serialisation.project_pickler import ProjectPickler
from distribute_challenge.serialisation.script.classes import kept_pickle, taken_apart
from distribute_challenge.serialisation.script.definitions import (
    Definitions,
    PickledDefinition,
    definition_name,
)
from distribute_challenge.serialisation.script.namespace import DefinitionName, found_or_made

__all__ = ["NamingPickler", "definitions", "version_of"]


class NamingPickler(ProjectPickler):
    """Pickles functions of the script with their names, so that a worker uses its own of them."""

    def _reduced(self, obj: Any) -> Any:
        # A worker keeps definitions for calls to come, which may need other results: a function that
        # captures a future or a call travels by value.
        with collecting_nothing():
            definition = None if isinstance(obj, type) else definitions.find(obj)
        if definition is None:
            return super()._reduced(obj)
        file = io.BytesIO()
        pickler = ProjectPickler(file, version_of)
        pickler.dump(obj)
        self.modules.update(pickler.modules, definition.modules)
        return found_or_made, (definition_name(obj), definition.version, file.getvalue())

    def _reduce_class_by_value(self, cls: type) -> Any:
        kept = kept_pickle(cls, version_of, _pickled_class)
        if kept is None:
            return super()._reduce_class_by_value(cls)
        self.modules.update(kept.modules)
        return kept.reduced


class _DefinitionPickler(ProjectPickler):
    """Pickles one function or class of the script; other definitions in it are pickled by name."""

    def __init__(self, file: io.BytesIO, definition: Any) -> None:
        super().__init__(file, version_of, versioned=False)
        self._definition = definition
        self.needs: set[str] = set()

    def _reduced(self, obj: Any) -> Any:
        name = definition_name(obj)
        if name is None or obj is self._definition:
            return super()._reduced(obj)
        self.needs.add(name)
        return DefinitionName(name).__reduce__()

    def _dynamic_function_reduce(self, func: types.FunctionType) -> Any:
        make, arguments, (attributes, parts), *rest = super()._dynamic_function_reduce(func)
        variables = parts["__globals__"]
        # Other definitions exist when the function is called; they may need this function first.
        others = {name for name, value in variables.items() if definition_name(value) == name}
        self.needs.update(others)
        parts["__globals__"] = {
            name: value for name, value in variables.items() if name not in others
        }
        return make, arguments, (attributes, parts), *rest


def _pickled_definition(definition: Any) -> PickledDefinition:
    def dump(_: Any) -> PickledDefinition:
        file = io.BytesIO()
        pickler = _DefinitionPickler(file, definition)
        pickler.dump(definition)
        modules = frozenset(name for name in pickler.modules if locate(name) is not None)
        return PickledDefinition(
            file.getvalue(), frozenset(pickler.needs), modules, frozenset(pickler.imports)
        )

    return taken_apart(definition, dump) if isinstance(definition, type) else dump(definition)


def _pickled_class(cls: type) -> tuple[bytes, frozenset[str]]:
    """Pickle a class by value; return its pickle, and the modules of the project that it needs."""
    file = io.BytesIO()
    pickler = ProjectPickler(file, version_of)
    pickler.dump(cls)
    return file.getvalue(), frozenset(pickler.modules)


def _digest(data: bytes) -> str:
    from xxhash import xxh3_128_hexdigest

    return str(xxh3_128_hexdigest(data))


def version_of(cls: type) -> str:
    """Return a digest of all that a class consists of."""
    found = definitions.version_of(cls)
    if found is None:
        file = io.BytesIO()
        ProjectPickler(file, version_of, versioned=False).dump(cls)
        found = _digest(file.getvalue())
    return found


#: The functions and classes of this process's script.
definitions: Final = Definitions(_pickled_definition, _digest)
