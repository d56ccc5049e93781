"""Values to bytes and back.

Three ways out, the cheapest that fits is taken:

1. numbers, strings and built-in containers of them: the C pickler alone, well under a microsecond;
2. everything else: cloudpickle, so that lambdas, closures and what `__main__` defines travel by value;
3. what belongs to a module of the user's own project: by name, and the module is noted, so that its source
   can travel along (see `projects`); exceptions keep their traceback, cause, context and notes (tblib).
"""

import functools
import io
import pickle
import sys
import types
from collections.abc import Callable
from typing import Any, NamedTuple

import cloudpickle
from tblib.pickling_support import pickle_exception, pickle_traceback

from distribute_challenge.errors import SerialisationError, SystemFailureError
from distribute_challenge.serialisation.diagnosis import culprit
from distribute_challenge.serialisation.projects import imported_names, is_project_module

__all__ = ["Pickled", "dumps", "dumps_plain", "loads"]

PROTOCOL = 5
_NAMELESS = "<dynamic-code>"  # cloudpickle's, in the place of a file's name.
BufferCallback = Callable[[pickle.PickleBuffer], bool]

_CACHED_FUNCTION = type(functools.lru_cache(lambda: None))

#: Bytes back to the value; what the bytes name is imported.
loads = pickle.loads


class Pickled(NamedTuple):
    """A pickled value, and the names of the user's own modules that unpickling it needs."""

    data: bytes
    modules: frozenset[str]


class _NotPlainError(Exception):
    """The value holds something that only cloudpickle can pickle."""


class _PlainPickler(pickle.Pickler):
    """Pickles built-in values only. `reducer_override` is asked about everything else: that ends it."""

    def reducer_override(self, obj: Any) -> Any:
        raise _NotPlainError


def dumps_plain(value: Any) -> bytes | None:
    """Pickle a value made of numbers, strings and built-in containers; None for any other.

    Example:
        >>> loads(dumps_plain([1, {"a": None}]))
        [1, {'a': None}]
        >>> dumps_plain([1, object()]) is None
        True
    """
    file = io.BytesIO()
    try:
        _PlainPickler(file, PROTOCOL).dump(value)
    except (_NotPlainError, RecursionError):
        return None
    return file.getvalue()


def dumps(value: Any, what: str, buffer_callback: BufferCallback | None = None, *, unshared: bool = False) -> Pickled:
    """Pickle any value.

    Args:
        value: What to pickle.
        what: Its name in an error message, such as ``"the result of square"``.
        buffer_callback: Asked, as by `pickle.Pickler`, whether a buffer stays in the pickle; None: all stay.
        unshared: Copy arrays whose memory is shared with other calls, and so cannot be written to: the copies can.

    Raises:
        SerialisationError: It cannot be pickled; the message names the attribute that is to blame.
        ValueLostError: It holds a value that was put, and is gone.
    """
    plain = dumps_plain(value)
    if plain is not None:
        return Pickled(plain, frozenset())
    file = io.BytesIO()
    pickler = (_UnsharingPickler if unshared else _ProjectPickler)(file, buffer_callback)
    try:
        pickler.dump(value)
    except SystemFailureError:
        raise  # A value that was put is gone: that is not for want of a way to pickle it.
    except Exception as error:
        path, reason = culprit(value, what, error, _can_be_pickled)
        raise SerialisationError(
            f"{what} cannot be pickled: {path}: {reason}. Leave it out, or make it on the worker, inside the function."
        ) from error
    return Pickled(file.getvalue(), frozenset(pickler.modules))


def _can_be_pickled(value: Any) -> Exception | None:
    try:
        _ProjectPickler(io.BytesIO()).dump(value)
    except Exception as error:
        return error
    return None


class _ProjectPickler(cloudpickle.Pickler):  # type: ignore[misc] # cloudpickle has no types
    """cloudpickle, except that what the user's own modules define is pickled by name, wherever it has one."""

    def __init__(self, file: io.BytesIO, buffer_callback: BufferCallback | None = None) -> None:
        super().__init__(file, protocol=PROTOCOL, buffer_callback=buffer_callback)
        self.modules: set[str] = set()

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, types.ModuleType):
            if is_project_module(obj.__name__):
                self.modules.add(obj.__name__)
        elif _has_module_and_name(obj):
            in_project = is_project_module(obj.__module__)
            if in_project:
                self.modules.add(obj.__module__)
                reference = _reference(obj)
                if reference is not None:
                    return _resolve, reference
            if isinstance(obj, types.FunctionType):
                package = obj.__globals__.get("__package__") or ""
                self.modules.update(imported_names(obj.__code__, package))
                if in_project:
                    return _reduce_project_function(obj)
            elif isinstance(obj, _CACHED_FUNCTION) and _lacks_address(obj, in_project):
                return _reduce_cached_function(obj)
        elif isinstance(obj, BaseException):
            return pickle_exception(obj, builtin_inits=_inits_that_take_args(obj))
        elif isinstance(obj, types.TracebackType):
            return pickle_traceback(obj)
        elif isinstance(obj, types.CodeType):
            return _reduce_code(obj)
        return super().reducer_override(obj)


class _UnsharingPickler(_ProjectPickler):
    """The same, with copies of NumPy's arrays over memory that is not to be written to."""

    def reducer_override(self, obj: Any) -> Any:
        numpy = sys.modules.get("numpy")
        if numpy is not None and isinstance(obj, numpy.ndarray) and not obj.flags.writeable:
            owner = obj
            while isinstance(owner, numpy.ndarray):
                owner = owner.base
            if isinstance(owner, memoryview):  # Not one that its maker has closed, whose memory is its own.
                return obj.copy("K").__reduce_ex__(PROTOCOL)
        return super().reducer_override(obj)


def _reduce_code(code: types.CodeType) -> tuple[Any, ...]:
    """With the name of its file, which cloudpickle leaves out from 3.1.3 on: without it no traceback shows a line of source."""
    kind, arguments = cloudpickle.Pickler.dispatch_table[types.CodeType](code)
    # A string of its own: a shared one would be pickled as a reference, or not, by chance.
    name = "".join(code.co_filename)
    return kind, tuple(name if argument == _NAMELESS else argument for argument in arguments)


def _inits_that_take_args(error: BaseException) -> tuple[Any, ...]:
    """What tells tblib that an exception is made again by calling its class with its ``args``.

    Those written in C are, and some (UnicodeDecodeError, SyntaxError) hold nothing unless they are. One with an
    ``__init__`` in Python may want other arguments: tblib makes it without calling that.
    """
    init = type(error).__init__
    return (init,) if isinstance(init, types.WrapperDescriptorType) else ()


def _has_module_and_name(obj: Any) -> bool:
    return isinstance(obj, type | types.FunctionType | _CACHED_FUNCTION) or hasattr(type(obj), "__distributable__")


def _reference(obj: Any) -> tuple[str, str, int] | None:
    """Where to find a module-level object again: module, qualified name, and how many decorators lie over it."""
    found: Any = sys.modules[obj.__module__]
    for part in obj.__qualname__.split("."):
        found = getattr(found, part, None)
    depth = 0
    while found is not None and found is not obj:
        found, depth = getattr(found, "__wrapped__", None), depth + 1
    return None if found is None else (obj.__module__, obj.__qualname__, depth)


def _resolve(module: str, qualname: str, depth: int) -> Any:
    found: Any = _import(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    for _ in range(depth):
        found = found.__wrapped__
    return found


def _import(module: str) -> types.ModuleType:
    __import__(module)
    return sys.modules[module]


def _reduce_project_function(function: types.FunctionType) -> tuple[Any, ...]:
    """A lambda or inner function of a project module: its code travels, its globals are the module's own."""
    cells = function.__closure__ or ()
    state = {
        "__defaults__": function.__defaults__,
        "__kwdefaults__": function.__kwdefaults__,
        "__annotations__": function.__annotations__,
        "__doc__": function.__doc__,
        "__qualname__": function.__qualname__,
        "__module__": function.__module__,
        "__dict__": function.__dict__,
    }
    contents = [_cell_contents(cell) for cell in cells]
    make_arguments = (function.__module__, function.__code__, function.__name__, len(cells))
    # The closure is part of the state and not of the arguments: a recursive inner function holds itself.
    return _make_function, make_arguments, (state, contents), None, None, _set_function_state


def _lacks_address(cached: Any, in_project: bool) -> bool:
    return in_project or cached.__module__ == "__main__" or "<locals>" in getattr(cached, "__qualname__", "<locals>")


def _reduce_cached_function(cached: Any) -> tuple[Any, ...]:
    """A function under `functools.lru_cache` that has no name to be found by: with an empty cache of its own."""
    # The function is state and not an argument: a recursive one refers to its own cache.
    return _make_cached, (cached.cache_parameters(),), cached.__wrapped__, None, None, _set_cached


class _Later:
    """Stands under a cache until the function is there, and calls it from then on."""

    function: Callable[..., Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


def _make_cached(parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(_Later())


def _set_cached(cached: Any, function: Callable[..., Any]) -> None:
    cached.__wrapped__.function = function
    functools.update_wrapper(cached, function)


def _cell_contents(cell: types.CellType) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:  # The variable is not assigned yet.
        return ()


def _make_function(module: str, code: types.CodeType, name: str, cells: int) -> types.FunctionType:
    closure = tuple(types.CellType() for _ in range(cells))
    return types.FunctionType(code, vars(_import(module)), name, None, closure)


def _set_function_state(function: types.FunctionType, state: tuple[dict[str, Any], list[tuple[Any, ...]]]) -> None:
    attributes, contents = state
    for name, value in attributes.items():
        if name == "__dict__":
            function.__dict__.update(value)
        else:
            setattr(function, name, value)
    for cell, content in zip(function.__closure__ or (), contents, strict=True):
        if content:
            cell.cell_contents = content[0]
