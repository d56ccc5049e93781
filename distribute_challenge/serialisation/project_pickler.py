"""The pickler of this library: what a module of the user's project defines travels by its name.

All else that has a name, but that an import on a worker would not find, travels by value, as in
cloudpickle. Some types get a way of their own here, because cloudpickle rejects their objects, or
loses a part of them.
"""

import io
import pickle
import sys
import types
from collections.abc import Callable
from typing import Any

from cloudpickle import cloudpickle

from distribute_challenge.serialisation.modules.functions import (
    reduce_project_function,
    reference,
    resolve,
)
from distribute_challenge.serialisation.modules.project_modules import (
    imported_names,
    is_project_module,
)
from distribute_challenge.serialisation.script.additions import is_addition
from distribute_challenge.serialisation.script.by_name import (
    has_module_of_its_own,
    reduce_named_object,
)
from distribute_challenge.serialisation.script.classes import reduce_class
from distribute_challenge.serialisation.script.namespace import (
    ScriptGlobals,
    set_script_function_state,
)
from distribute_challenge.serialisation.standard_library import (
    CACHED_FUNCTION,
    IDENTITIES,
    reduce_cached_function,
    reduce_standard,
)
from distribute_challenge.serialisation.watch import has_address

__all__ = ["PROTOCOL", "BufferCallback", "ProjectPickler"]

PROTOCOL = 5
_NAMELESS = "<dynamic-code>"  # cloudpickle writes this in place of a file's name.
BufferCallback = Callable[[pickle.PickleBuffer], bool]

# Types whose objects may each be pickled in another way, so that every object is checked.
_NAMED = (
    type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, CACHED_FUNCTION,
    BaseException, *IDENTITIES
)  # fmt: skip
# Classes that an import does not find, and that cloudpickle names in its own ways.
_NAMED_BY_CLOUDPICKLE = {
    type(None),
    type(Ellipsis),
    type(NotImplemented),
    *cloudpickle._BUILTIN_TYPE_NAMES,
}


class ProjectPickler(cloudpickle.Pickler):  # type: ignore[misc] # cloudpickle has no types
    """cloudpickle's pickler, but it pickles definitions of the user's own modules by name.

    Args:
        file: Where the pickle goes.
        version_of: Returns a digest of all that a class consists of; it raises if the class cannot
            be taken apart.
        buffer_callback: As for `pickle.Pickler`.
        versioned: Whether classes travel with their versions; False while a version is computed.

    Attributes:
        modules: The modules of the user's project that unpickling needs.
        imports: All modules that unpickling imports.
        linked_exceptions: Ids of the exceptions that have been pickled with what is linked to them.
    """

    def __init__(
        self,
        file: io.BytesIO,
        version_of: Callable[[type], str],
        buffer_callback: BufferCallback | None = None,
        *,
        versioned: bool = True,
    ) -> None:
        super().__init__(file, protocol=PROTOCOL, buffer_callback=buffer_callback)
        self.modules: set[str] = set()
        self.imports: set[str] = set()
        self._version_of = version_of
        self._versioned = versioned
        # Ids of the types whose objects need no special treatment, so that large values are
        # pickled fast.
        self._ordinary: set[int] = set()
        self._script_globals: dict[int, ScriptGlobals] = {}
        self.linked_exceptions: set[int] = set()

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        if id(kind) in self._ordinary:
            return NotImplemented
        reduced = self._reduced(obj)
        if (
            reduced is NotImplemented
            and kind is not object
            and not (isinstance(obj, _NAMED) or has_module_of_its_own(obj))
        ):
            self._ordinary.add(id(kind))
        return reduced

    def _reduced(self, obj: Any) -> Any:
        if isinstance(obj, types.ModuleType):
            self.imports.add(obj.__name__)
            if _is_project(obj.__name__):
                self.modules.add(obj.__name__)
        elif isinstance(obj, type):
            return self._reduce_class(obj)
        elif isinstance(obj, types.FunctionType):
            return self._reduce_function(obj)
        elif isinstance(obj, types.BuiltinFunctionType):
            # The project may have compiled modules.
            return self._reference(obj) or reduce_standard(obj, weak=self._versioned)
        elif isinstance(obj, CACHED_FUNCTION):
            return self._reduce_cached_function(obj)
        elif hasattr(type(obj), "__distributable__"):
            # By its parts, because its own `__reduce__` is made for other picklers.
            return self._reference(obj) or object.__reduce_ex__(obj, PROTOCOL)
        elif issubclass(type(obj), BaseException):
            from distribute_challenge.serialisation.exceptions.values import (
                reduce_exception,
            )  # Imported here, because few values hold an exception.

            return reduce_exception(obj, self.linked_exceptions)
        elif isinstance(obj, types.TracebackType):
            from distribute_challenge.serialisation.exceptions.tracebacks import (
                rows_of,
                traceback_of,
            )  # As above.

            return traceback_of, (rows_of(obj),)
        elif isinstance(obj, types.CodeType):
            return _reduce_code(obj)
        reduced = reduce_named_object(obj, PROTOCOL)
        return reduce_standard(obj, weak=self._versioned) if reduced is NotImplemented else reduced

    def _reference(self, obj: Any) -> tuple[Any, ...] | None:
        """Return how to find by name what a module of the project defines; None for all else."""
        if not _is_project(obj.__module__):
            return None
        self.modules.add(obj.__module__)
        found = reference(obj)
        return None if found is None else (resolve, found)

    def _reduce_class(self, cls: type) -> Any:
        found = self._reference(cls)
        if found is not None:
            return found
        if cls in _NAMED_BY_CLOUDPICKLE or self._has_name(cls):
            return super().reducer_override(cls)
        return self._reduce_class_by_value(cls)

    def _reduce_class_by_value(self, cls: type) -> Any:
        return reduce_class(cls, self._version_of, versioned=self._versioned)

    def _reduce_function(self, function: types.FunctionType) -> Any:
        found = self._reference(function)
        if found is not None:
            return found
        if self._has_name(function):
            return NotImplemented
        namespace = str(function.__globals__.get("__name__"))
        if _is_project(namespace):
            self.modules.add(namespace)
        self.modules.update(
            imported_names(function.__code__, function.__globals__.get("__package__") or "")
        )
        if _is_importable(namespace) and vars(sys.modules[namespace]) is function.__globals__:
            self.imports.add(namespace)
            return reduce_project_function(function, namespace)
        return self._dynamic_function_reduce(function)

    def _reduce_cached_function(self, cached: Any) -> Any:
        found = self._reference(cached)
        if found is not None:
            return found
        if _is_project(cached.__module__) or not has_address(cached):
            return reduce_cached_function(cached)
        return NotImplemented

    def _has_name(self, obj: Any) -> bool:
        """Whether a worker finds a function or class by importing its module."""
        if not cloudpickle._should_pickle_by_reference(obj) or is_addition(obj):
            return False
        self.imports.add(str(obj.__module__))
        return True

    def _dynamic_function_reduce(self, func: types.FunctionType) -> Any:
        make, arguments, state, *rest, set_state = super()._dynamic_function_reduce(func)
        if func.__globals__.get("__name__") != "__main__":
            return make, arguments, state, *rest, set_state
        return make, arguments, state, *rest, set_script_function_state

    def _function_getnewargs(self, func: types.FunctionType) -> tuple[Any, ...]:
        code, names, *rest = super()._function_getnewargs(func)
        if names.get("__name__") == "__main__":
            # One object for all functions of the script, so that they also share one namespace on
            # the worker.
            names = self._script_globals.setdefault(id(names), ScriptGlobals(names))
        return code, names, *rest


def _reduce_code(code: types.CodeType) -> tuple[Any, ...]:
    """Pickle code with the name of its file, which cloudpickle leaves out from version 3.1.3 on.

    Without the name, no traceback shows a line of source.
    """
    kind, arguments = cloudpickle.Pickler.dispatch_table[types.CodeType](code)
    # A new string: pickle would write a shared one as a reference, or not, by chance.
    name = "".join(code.co_filename)
    return kind, tuple(name if argument == _NAMELESS else argument for argument in arguments)


def _is_project(name: str | None) -> bool:
    """Whether a module is the user's own, and cloudpickle was not told to pickle it by value."""
    return is_project_module(name) and not cloudpickle._is_registered_pickle_by_value(
        sys.modules[str(name)]
    )


def _is_importable(name: str) -> bool:
    module = sys.modules.get(name)
    if (
        module is None
        or name in ("__main__", "__mp_main__")
        or getattr(module, "__spec__", None) is None
    ):
        return False
    return not cloudpickle._is_registered_pickle_by_value(module)
