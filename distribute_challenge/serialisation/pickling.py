"""Values to bytes and back.

There are three ways to pickle a value, and the cheapest that fits is taken:

1. numbers, strings and built-in containers of them: the C pickler alone, well under a microsecond;
2. everything else: cloudpickle, so that lambdas, closures and what `__main__` defines travel by
   value;
3. what a module of the user's own project defines: by name, and the module is noted, so that its
   source can travel along (see `project_modules`).

Exceptions keep their traceback, cause, context and notes.
"""

import io
import pickle
import sys
import types
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from cloudpickle import cloudpickle

from distribute_challenge.core.folding import set_traceback, traceback_of, users_frames
from distribute_challenge.core.guarded import text_of, tried
from distribute_challenge.core.interrupts import is_interrupt
from distribute_challenge.errors import SerialisationError, SystemFailureError
from distribute_challenge.serialisation.diagnosis import culprit
from distribute_challenge.serialisation.modules.functions import (
    reduce_project_function,
    reference,
    resolve,
)
from distribute_challenge.serialisation.modules.locations import locate
from distribute_challenge.serialisation.modules.project_modules import (
    imported_names,
    is_project_module,
)
from distribute_challenge.serialisation.script.additions import is_addition
from distribute_challenge.serialisation.script.by_name import (
    has_module_of_its_own,
    reduce_named_object,
)
from distribute_challenge.serialisation.script.classes import reduce_class, taken_apart
from distribute_challenge.serialisation.script.definitions import (
    Definitions,
    PickledDefinition,
    definition_name,
)
from distribute_challenge.serialisation.script.namespace import (
    DefinitionName,
    ScriptGlobals,
    found_or_made,
    set_script_function_state,
)
from distribute_challenge.serialisation.standard_library import (
    CACHED_FUNCTION,
    IDENTITIES,
    reduce_cached_function,
    reduce_standard,
)
from distribute_challenge.serialisation.watch import has_address
from distribute_challenge.settings import full_tracebacks

__all__ = ["Pickled", "definitions", "dumped", "dumps", "dumps_plain", "loads"]

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

#: Turns bytes back into the value, and imports the modules that the bytes name.
loads = pickle.loads


class Pickled(NamedTuple):
    """A pickled value, and the names of the user's own modules that unpickling it needs."""

    data: bytes
    modules: frozenset[str]


class _NotPlainError(Exception):
    """Raised by `_PlainPickler` for an object that is no built-in value."""


class _PlainPickler(pickle.Pickler):
    """Pickles built-in values only.

    The pickler calls `reducer_override` for every other object, which ends the pickling.
    """

    def reducer_override(self, obj: Any) -> Any:
        raise _NotPlainError


def dumps_plain(value: Any) -> bytes | None:
    """Pickle a value made of numbers, strings and built-in containers; None for any other.

    Examples:
        >>> loads(dumps_plain([1, {"a": None}]))
        [1, {'a': None}]
        >>> dumps_plain([1, object()]) is None
        True
    """
    file = io.BytesIO()
    try:
        _PlainPickler(file, PROTOCOL).dump(value)
    except (_NotPlainError, RecursionError, MemoryError):
        return None
    return file.getvalue()


def dumps(
    value: Any,
    what: str,
    buffer_callback: BufferCallback | None = None,
    *,
    unshared: bool = False,
    named: bool = False,
) -> Pickled:
    """Pickle any value.

    Args:
        value: The value to pickle.
        what: Its name in an error message, such as ``"the result of square"``.
        buffer_callback: Says, as for `pickle.Pickler`, whether a buffer stays in the pickle; None:
            all stay.
        unshared: Copy arrays in memory that is shared with other calls, and so is read-only: the
            copies can be written to.
        named: Pickle functions of the script with their names, so that a worker uses those of its
            ``__main__``.

    Raises:
        SerialisationError: It cannot be pickled; the message names the attribute that is to blame.
        ValueLostError: It holds a value that was put, and is gone.
    """
    try:
        return dumped(value, buffer_callback, unshared=unshared, named=named)
    except SystemFailureError:
        raise  # A value that was put is gone, so the error must not say that it is unpicklable.
    except BaseException as error:
        if is_interrupt(error):
            raise
        failure = error
        path, reason = tried(
            lambda: culprit(value, what, failure, _can_be_pickled),
            lambda _: (what, text_of(failure)),
        )
        raise SerialisationError(
            f"{what} cannot be pickled: {path}: {reason}. Leave it out, or make it on the worker, "
            f"inside the function."
        ) from _users_own(failure)


def dumped(
    value: Any,
    buffer_callback: BufferCallback | None = None,
    *,
    unshared: bool = False,
    named: bool = False,
) -> Pickled:
    """Pickle any value, as `dumps` does, but let errors pass as they are raised."""
    plain = dumps_plain(value)
    if plain is not None:
        return Pickled(plain, frozenset())
    file = io.BytesIO()
    pickler = (_UnsharingPickler if unshared else _ProjectPickler)(
        file, buffer_callback, named=named
    )
    pickler.dump(value)
    return Pickled(file.getvalue(), frozenset(pickler.modules))


def _users_own(error: BaseException) -> BaseException | None:
    """Return the error if the user's code raised it; None if its text says all there is to say."""
    if full_tracebacks():
        return error
    users = users_frames(traceback_of(error))
    set_traceback(error, users)
    return error if users is not None else None


def _can_be_pickled(value: Any) -> BaseException | None:
    pickler = _ProjectPickler(io.BytesIO())
    reason: BaseException | None = tried(lambda: pickler.dump(value), lambda reason: reason)
    return reason


class _ProjectPickler(cloudpickle.Pickler):  # type: ignore[misc] # cloudpickle has no types
    """cloudpickle's pickler, but it pickles definitions of the user's own modules by name."""

    def __init__(
        self,
        file: io.BytesIO,
        buffer_callback: BufferCallback | None = None,
        *,
        versioned: bool = True,
        named: bool = False,
    ) -> None:
        super().__init__(file, protocol=PROTOCOL, buffer_callback=buffer_callback)
        self.modules: set[str] = set()  # Of the user's project.
        self.imports: set[str] = set()  # All modules that unpickling imports.
        self._versioned = versioned
        self._named = named
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
        if self._named and (found := self._reduce_named(obj)) is not None:
            return found
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

    def _reduce_named(self, obj: Any) -> tuple[Any, ...] | None:
        definition = None if isinstance(obj, type) else definitions.find(obj)
        if definition is None:
            return None
        file = io.BytesIO()
        pickler = _ProjectPickler(file)
        pickler.dump(obj)
        self.modules.update(pickler.modules, definition.modules)
        return found_or_made, (definition_name(obj), definition.version, file.getvalue())

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
        return reduce_class(cls, _version_of, versioned=self._versioned)

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


class _UnsharingPickler(_ProjectPickler):
    """A `_ProjectPickler` that copies NumPy's arrays over read-only memory."""

    def reducer_override(self, obj: Any) -> Any:
        numpy = sys.modules.get("numpy")
        if numpy is not None and isinstance(obj, numpy.ndarray) and not obj.flags.writeable:
            owner = obj
            while isinstance(owner, numpy.ndarray):
                owner = owner.base
            if isinstance(
                owner, memoryview
            ):  # Arrays that the user has made read-only have another owner, and stay as they are.
                return obj.copy("K").__reduce_ex__(PROTOCOL)
        return super().reducer_override(obj)


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


class _DefinitionPickler(_ProjectPickler):
    """Pickles one function or class of the script; other definitions in it are pickled by name."""

    def __init__(self, file: io.BytesIO, definition: Any) -> None:
        super().__init__(file, versioned=False)
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


def _digest(data: bytes) -> str:
    from xxhash import xxh3_128_hexdigest

    return str(xxh3_128_hexdigest(data))


def _version_of(cls: type) -> str:
    """Return a digest of all that a class consists of."""
    found = definitions.version_of(cls)
    if found is None:
        file = io.BytesIO()
        _ProjectPickler(file, versioned=False).dump(cls)
        found = _digest(file.getvalue())
    return found


#: The functions and classes of this process's script.
definitions: Final = Definitions(_pickled_definition, _digest)
