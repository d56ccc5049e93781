"""A script's ``__main__`` on a worker.

Functions of a script or notebook travel by value. On the worker they share one namespace, as they
do in the script: the namespace of a module that is called ``__main__`` while a call of the script
runs. So pickle finds the script's classes by name, and ``import __main__``, ``inspect.getsource``
and type hints work.

Each function that is sent brings its own namespace, with the values of the script's variables at
the time of the call. Changes that calls make to these globals stay as long as the worker keeps the
function.
"""

import contextlib
import linecache
import os
import pickle
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from threading import RLock
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from cloudpickle import cloudpickle

from distribute_challenge.core.forks import renew_in_children
from distribute_challenge.serialisation.script.classes import of_version
from distribute_challenge.serialisation.watch import global_names

__all__ = [
    "Definition",
    "DefinitionName",
    "Script",
    "ScriptGlobals",
    "ScriptParts",
    "found_or_made",
    "is_script_on_worker",
    "set_script_function_state",
]

# A function that uses one of these may look up any name of its script, and a module cannot
# intercept that.
_LOOKS_UP_NAMES = frozenset(["eval", "exec", "globals", "vars"])


class Definition(NamedTuple):
    """A function or class of a script, found on the worker by its name alone.

    Args:
        data: The pickled function or class.
        needs: Names of the definitions that it refers to.
        modules: Modules of the user's project that it, and the definitions that it reaches, need.
        imports: All modules that are imported when these are loaded.
        version: A digest of it and of the definitions that it reaches.
    """

    data: bytes
    needs: tuple[str, ...]
    modules: tuple[str, ...]
    imports: tuple[str, ...]
    version: str


class ScriptParts(NamedTuple):
    """The parts of a script that travel with one of its functions.

    Args:
        filename: The script's file on the client; None in a notebook or at a prompt.
        source: The file's content; None if it cannot be read.
        definitions: The script's functions and classes, by name.
    """

    filename: str | None = None
    source: str | None = None
    definitions: Mapping[str, Definition] = {}


class Script:
    """The namespace of one function's script; a worker makes one for each function of a script.

    Args:
        parts: The parts of the script that travelled.

    Guarantees: ``_lock`` lets one thread at a time load a definition. A name that is set stays as
    it is: a function that is loaded once more finds its globals as the last call left them.
    """

    def __init__(self, parts: ScriptParts) -> None:
        self._parts = parts
        self._waiting = dict(parts.definitions)
        self._lock = RLock()
        renew_in_children(self)
        self.module = _Main(self)
        self.globals = vars(self.module)
        self.globals.update(__builtins__=__builtins__, __loader__=_Loader(parts.source))
        # A script that `python -m` runs has a package, which comes with its functions.
        del self.globals["__package__"]
        if parts.filename is not None:
            self.globals["__file__"] = parts.filename

    def renew_locks(self) -> None:
        self._lock = RLock()

    def activate(self) -> None:
        """Make this namespace the ``__main__`` of this process."""
        sys.modules["__main__"] = self.module
        filename = self._parts.filename
        if filename is not None and self._parts.source is not None and not os.path.exists(filename):
            linecache.lazycache(filename, self.globals)

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Give this namespace to functions of scripts that are unpickled while this block runs."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    def define(self, function: Any) -> None:
        """Set the script's functions and classes as variables, if that imports no more modules.

        Args:
            function: The function that is about to be called. If it looks names up by itself, all
                definitions are set.
        """
        finds_all = isinstance(function, FunctionType) and not _LOOKS_UP_NAMES.isdisjoint(
            global_names(function.__code__)
        )
        name = getattr(function, "__qualname__", "")
        if getattr(function, "__module__", None) == "__main__" and name.isidentifier():
            self.globals.setdefault(name, function)
        for name, definition in list(self._waiting.items()):
            if finds_all or all(module in sys.modules for module in definition.imports):
                with contextlib.suppress(AttributeError):
                    self.find(name)

    def defines(self, name: str) -> bool:
        """Whether a definition of this name has travelled."""
        return name in self._parts.definitions

    def has(self, name: str, version: str) -> bool:
        """Whether a definition has travelled, in exactly this version."""
        definition = self._parts.definitions.get(name)
        return definition is not None and definition.version == version

    def find(self, name: str) -> Any:
        """Return the function or class of a name.

        Raises:
            AttributeError: No such definition has travelled, or it cannot be loaded here.
        """
        with self._lock:
            # Removed first, because the definition may refer to itself.
            definition = self._waiting.pop(name, None)
            if definition is not None:
                self._load(name, definition)
            if name not in self.globals and name in _set_by_calls:
                return _set_by_calls[name]
            if name not in self.globals:
                raise AttributeError(
                    f"the script's {name!r} did not travel to this worker. Its functions and "
                    f"classes do, unless they use "
                    f"variables that change; mention {name} in the function that is called, and it "
                    f"travels in any case"
                )
            return self.globals[name]

    def _load(self, name: str, definition: Definition) -> None:
        if name not in self.globals:
            try:
                with self.loading(), of_version(definition.version):
                    found = pickle.loads(definition.data)
            except (Exception, SystemExit) as error:
                # Calls that do not use it must not fail.
                self._waiting[name] = definition
                raise AttributeError(
                    f"the script's {name!r} cannot be loaded on this worker: "
                    f"{type(error).__name__}: {error}"
                ) from error
            self.globals.setdefault(name, found)
        for other in definition.needs:
            with contextlib.suppress(AttributeError):
                self.find(other)


class DefinitionName:
    """Stands for another definition in the pickle of a definition.

    Args:
        name: The other definition's name.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __reduce__(self) -> tuple[Any, ...]:
        return _find, (self._name,)


def _find(name: str) -> Any:
    script = _current.get()
    assert script is not None  # Only a `Script` loads definitions.
    return script.find(name)


class _Main(ModuleType):
    """The ``__main__`` module on a worker: it loads a definition when that is first used."""

    __slots__ = ("_script",)  # A slot, so that it is not one of the script's variables.

    def __init__(self, script: Script) -> None:
        super().__init__("__main__")
        self._script = script

    def __getattr__(self, name: str) -> Any:
        return self._script.find(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _Main.__slots__:
            _set_by_calls[name] = value
        super().__setattr__(name, value)


# The attributes that calls have set on the module `__main__`. The function of the next call has
# another such module, and finds them here.
_set_by_calls: dict[str, Any] = {}


class _Loader:
    """Gives the script's source to tracebacks and to `inspect`."""

    def __init__(self, source: str | None) -> None:
        self._source = source

    def get_source(self, name: str) -> str | None:
        """Return the source of the script, under any name."""
        return self._source


def found_or_made(name: str, version: str, data: bytes) -> Any:
    """Unpickle a script's function among a call's arguments, or use the same one of `__main__`.

    Args:
        name: Its name.
        version: The version of its definition.
        data: The function itself, pickled.
    """
    main = sys.modules["__main__"]
    if isinstance(main, _Main) and main._script.has(name, version):
        with contextlib.suppress(AttributeError):
            return main._script.find(name)
    return pickle.loads(data)


def is_script_on_worker(module: Any) -> bool:
    """Whether a module stands for a script's ``__main__`` on a worker."""
    return isinstance(module, _Main)


class ScriptGlobals:
    """Stands for the namespace of a script's functions in a pickle.

    Args:
        names: The namespace's own names, such as ``__name__`` and ``__file__``, with their values.
    """

    def __init__(self, names: Mapping[str, Any]) -> None:
        self._names = names

    def __reduce__(self) -> tuple[Any, ...]:
        return _script_globals, (self._names,)


def set_script_function_state(
    function: FunctionType, state: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    """Set the state of a function of a script that is being unpickled.

    Names that its namespace has already stay as they are.
    """
    attributes, parts = state
    for name, value in parts["__globals__"].items():
        function.__globals__.setdefault(name, value)
    cloudpickle._function_setstate(function, (attributes, {**parts, "__globals__": {}}))


def _script_globals(names: Mapping[str, Any]) -> dict[str, Any]:
    """Return the namespace for the functions of one pickle."""
    script = _current.get()
    # Functions among the arguments have their own namespace, with the values of variables at the
    # time of that call.
    found: dict[str, Any] = {} if script is None else script.globals
    for name, value in names.items():
        found.setdefault(name, value)
    return found


_current: ContextVar[Script | None] = ContextVar("distribute_challenge_script", default=None)
