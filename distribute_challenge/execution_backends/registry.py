"""Engines by name, and the choice of the engine for a call.

The choice is made in this order: the call's own argument, the decorator's option, the innermost
`use_backend` block, `set_default_backend`, the environment, ``"celery"``. Inside a running call,
every built-in engine's name means this process: see `resolve`.

Guarantees:

- Each process has one engine of each name, made when first used, and closed when the interpreter
  ends.
- After a fork, the child process has none of its parent's engines: it makes its own.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from itertools import chain
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from distribute_challenge import settings
from distribute_challenge.core.interrupts import at_exit
from distribute_challenge.core.never_run import tell_of_cancelled
from distribute_challenge.core.options import CallOptions
from distribute_challenge.errors import BackendError
from distribute_challenge.execution.run import inside_call
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.execution_backends.policy import not_honoured
from distribute_challenge.execution_backends.run_adapter import RunAdapter, SupportsRun

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint, EntryPoints

__all__ = [
    "available_backends",
    "check_honoured",
    "close_at_exit",
    "close_backends",
    "default_backend",
    "is_named",
    "resolve",
    "set_default_backend",
    "use_backend",
]

ENTRY_POINTS = "distribute_challenge.execution_backends"

BUILT_IN = {
    "celery": "distribute_challenge.execution_backends.celery:CeleryExecutionBackend",
    "dask": "distribute_challenge.execution_backends.clusters.dask:DaskExecutionBackend",
    "local": "distribute_challenge.execution_backends.local:LocalExecutionBackend",
    "processes": "distribute_challenge.execution_backends.pools:ProcessesExecutionBackend",
    "ray": "distribute_challenge.execution_backends.clusters.ray:RayExecutionBackend",
    "threads": "distribute_challenge.execution_backends.pools:ThreadsExecutionBackend",
}

#: Schemes of addresses that stand for a name: the engine of this name connects to the address.
SCHEMES = {"ray": "ray", "tcp": "dask", "tls": "dask"}

Choice = str | ExecutionBackend | SupportsRun | None

_lock = threading.RLock()
_engines: dict[str, ExecutionBackend] = {}
_given: WeakValueDictionary[int, ExecutionBackend] = (
    WeakValueDictionary()
)  # Engines that the program has made itself, by `id`.
_default: Choice = None
_chosen: ContextVar[Choice] = ContextVar("distribute_challenge_backend", default=None)


def available_backends() -> list[str]:
    """Return the names of all backends: the built-in ones and those of installed packages.

    Examples:
        >>> available_backends()
        ['celery', 'dask', 'local', 'processes', 'ray', 'threads']
    """
    return sorted({*BUILT_IN, *(point.name for point in _installed())})


def default_backend() -> ExecutionBackend:
    """Return the backend of calls that do not name one.

    Raises:
        BackendError: The chosen name does not exist, or a package that it needs is not installed.
    """
    return resolve(None)


def set_default_backend(backend: Choice) -> None:
    """Choose the backend for this whole process; None returns to the environment's choice.

    Raises:
        BackendError: There is no backend of that name, or the object is no backend.
    """
    global _default
    _check(backend)
    _default = backend


@contextmanager
def use_backend(backend: Choice) -> Iterator[None]:
    """Choose the backend for a block of code, in this thread or asyncio task.

    Examples:
        >>> from distribute_challenge import compute_this
        >>> with use_backend("threads"):
        ...     compute_this(lambda x: x * x)(3).compute()
        9

    Raises:
        BackendError: There is no backend of that name, or the object is no backend.
    """
    _check(backend)
    token = _chosen.set(backend)
    try:
        yield
    finally:
        _chosen.reset(token)


def resolve(*choices: Choice) -> ExecutionBackend:
    """Return the engine for a call.

    A call inside a call runs in the process that makes it, whatever built-in backend is named: the
    call occupies the worker's slot already, and waiting for another slot could take for ever. A
    backend that is given as an object, or that a package brings, is used as it is.

    Args:
        choices: The choices of the call, then of its function; None where there is none.

    Raises:
        BackendError: There is no backend of that name, or the object is no backend.
    """
    for choice in (*choices, _chosen.get(), _default):
        if choice is not None:
            break
    else:
        choice = settings.backend_name()
    if isinstance(choice, str):
        is_built_in = choice in BUILT_IN or _scheme(choice) is not None
        return _engine("local" if inside_call() and is_built_in else choice)
    if isinstance(choice, ExecutionBackend):
        if id(choice) not in _given:  # To add it takes as long as half of a submitted call.
            _given[id(choice)] = choice
        return choice
    _check(choice)
    assert isinstance(choice, SupportsRun)
    return RunAdapter(choice)


def is_named(engine: ExecutionBackend) -> bool:
    """Whether an engine was made by its name, and not given as an object."""
    return any(engine is each for each in list(_engines.values()))


def check_honoured(engine: ExecutionBackend, options: CallOptions, given: frozenset[str]) -> None:
    """Refuse a call that its engine would not run as the caller asked for.

    Args:
        engine: The engine.
        options: The options of the call.
        given: Names of the options that were set.

    Raises:
        OptionError: The engine does not keep one of them.
    """
    if not given <= engine.honours:
        others = [name for name in available_backends() if _honours(name, given)]
        raise not_honoured(options, given - engine.honours, _name_of(engine), others)


def _name_of(engine: ExecutionBackend) -> str:
    if isinstance(engine, RunAdapter):
        return engine.name
    kind = type(engine).__name__
    by_name = (name for name, each in _engines.items() if each is engine)
    by_class = (name for name, target in BUILT_IN.items() if target.endswith(f":{kind}"))
    return next(chain(by_name, by_class), kind)


def _honours(name: str, given: frozenset[str]) -> bool:
    try:
        return bool(given <= _load(name).honours)
    except Exception:  # An engine that cannot be loaded is no help to the caller.
        return False


def close_backends() -> None:
    """Close every engine that was made by name; the next call makes a new one."""
    with _lock:
        engines = list(_engines.values())
        _engines.clear()
    for engine in engines:
        engine.close()


def _engine(name: str) -> ExecutionBackend:
    with _lock:
        engine = _engines.get(name)
        if engine is None:
            if name not in ("local", "threads"):
                _refuse_beginning_processes()
            scheme = _scheme(name)
            made = _load(name)() if scheme is None else _load(SCHEMES[scheme])(name)
            engine = _engines[name] = made
        return engine


def _scheme(name: str) -> str | None:
    """Return the scheme of an address; None if it is the name of a backend."""
    scheme, separator, _ = name.partition("://")
    return scheme if separator and scheme in SCHEMES else None


def _refuse_beginning_processes() -> None:
    """Refuse calls while a process that multiprocessing has spawned runs the script.

    These calls would start processes, which would run the script in their turn.
    """
    processes = sys.modules.get("multiprocessing.process")
    if processes is not None and getattr(processes.current_process(), "_inheriting", False):
        raise BackendError(
            "multiprocessing has spawned this process, which runs the script once more to find its "
            "functions: put what makes calls "
            'below  if __name__ == "__main__":  so that only the script itself makes them'
        )


def _load(name: str) -> Any:
    target = BUILT_IN.get(name)
    if target is None:
        points = [point for point in _installed() if point.name == name]
        if not points:
            raise _unknown(name)
        return _loaded(name, points[0])
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


def _installed() -> "EntryPoints":
    """Return the backends of installed packages."""
    from importlib.metadata import (
        entry_points,
    )  # Imported here: it is slow, and most programs use built-in backends only.

    return entry_points(group=ENTRY_POINTS)


def _loaded(name: str, point: "EntryPoint") -> Any:
    try:
        return point.load()
    except ImportError as error:
        package = point.dist.name if point.dist else point.value
        raise BackendError(
            f"backend {name!r} of the package {package} needs {error.name}, which is not "
            f"installed: "
            f"pip install '{package}[{name}]'"
        ) from error


def _check(choice: object) -> None:
    if (
        isinstance(choice, str)
        and choice not in BUILT_IN
        and _scheme(choice) is None
        and choice not in available_backends()
    ):
        raise _unknown(choice)
    if not isinstance(choice, str | SupportsRun | None):
        raise BackendError(
            f"{choice!r} is no backend: expected one of the names "
            f"{', '.join(available_backends())}, or an object "
            f"with a method run(serialised_func, args, kwargs)"
        )


def _unknown(name: str) -> BackendError:
    schemes = ", ".join(f"{scheme}://" for scheme in SCHEMES)
    return BackendError(
        f"no backend is called {name!r}; there are {', '.join(available_backends())}, and "
        f"addresses that begin with one of {schemes}"
    )


def _forget() -> None:
    """Drop the parent's engines after a fork: the child has none of their threads and sockets."""
    global _lock
    _lock = threading.RLock()
    _engines.clear()
    _given.clear()


def close_at_exit() -> None:
    """Close all engines when the program ends, and report if that cancels calls."""
    given = list(_given.values())
    unfinished = sum(engine.unfinished() for engine in (*_engines.values(), *given))
    close_backends()
    for engine in given:
        engine.close()
    tell_of_cancelled(unfinished)


at_exit(close_at_exit)
os.register_at_fork(after_in_child=_forget)
