"""Engines by name, and which one serves a call that does not say.

In this order: the call's own argument, the decorator's option, the innermost `use_backend` block, `set_default_backend`,
the environment, ``"celery"``. Inside a running call every engine named means this process: see `resolve`.

Guarantees:

- One engine of each name for each process, made when first used, closed when the interpreter ends.
- After a fork the child has none of its parent's engines: it makes its own.
"""

import atexit
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Any

from distribute_challenge import settings
from distribute_challenge.errors import BackendError
from distribute_challenge.execution import inside_call
from distribute_challenge.execution_backends.base import ExecutionBackend, RunAdapter, SupportsRun

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint, EntryPoints

__all__ = ["available_backends", "close_backends", "default_backend", "resolve", "set_default_backend", "use_backend"]

ENTRY_POINTS = "distribute_challenge.execution_backends"

BUILT_IN = {
    "celery": "distribute_challenge.execution_backends.celery:CeleryExecutionBackend",
    "local": "distribute_challenge.execution_backends.local:LocalExecutionBackend",
    "processes": "distribute_challenge.execution_backends.pools:ProcessesExecutionBackend",
    "threads": "distribute_challenge.execution_backends.pools:ThreadsExecutionBackend",
}

Choice = str | ExecutionBackend | SupportsRun | None

_lock = threading.RLock()
_engines: dict[str, ExecutionBackend] = {}
_default: Choice = None
_chosen: ContextVar[Choice] = ContextVar("distribute_challenge_backend", default=None)


def available_backends() -> list[str]:
    """Names of all backends: the built-in ones and those that installed packages bring.

    Example:
        >>> available_backends()
        ['celery', 'local', 'processes', 'threads']
    """
    return sorted({*BUILT_IN, *(point.name for point in _installed())})


def default_backend() -> ExecutionBackend:
    """The backend of calls that do not name one.

    Raises:
        BackendError: The name in force does not exist, or what it needs is not installed.
    """
    return resolve(None)


def set_default_backend(backend: Choice) -> None:
    """Choose the backend for this whole process; None returns to the environment's choice.

    Raises:
        BackendError: No backend of that name, or an object that is none.
    """
    global _default
    _check(backend)
    _default = backend


@contextmanager
def use_backend(backend: Choice) -> Iterator[None]:
    """Choose the backend for a block of code, in this thread or asyncio task.

    Example:
        >>> from distribute_challenge import compute_this
        >>> with use_backend("threads"):
        ...     compute_this(lambda x: x * x)(3).compute()
        9

    Raises:
        BackendError: No backend of that name, or an object that is none.
    """
    _check(backend)
    token = _chosen.set(backend)
    try:
        yield
    finally:
        _chosen.reset(token)


def resolve(*choices: Choice) -> ExecutionBackend:
    """The engine for a call.

    Args:
        choices: What the call, then its function, asked for; None where nothing was.

    A call inside a call runs in the process that makes it, whatever backend is named: the worker's slot is its own
    already, and waiting for another one could wait for ever. A backend given as an object is taken at its word.

    Raises:
        BackendError: No backend of that name, or an object that is none.
    """
    for choice in (*choices, _chosen.get(), _default):
        if choice is not None:
            break
    else:
        choice = settings.backend_name()
    if isinstance(choice, str):
        return _engine("local") if inside_call() and choice in BUILT_IN else _engine(choice)
    if isinstance(choice, ExecutionBackend):
        return choice
    _check(choice)
    assert isinstance(choice, SupportsRun)
    return RunAdapter(choice)


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
            engine = _engines[name] = _load(name)()
        return engine


def _load(name: str) -> Any:
    target = BUILT_IN.get(name)
    if target is None:
        points = [point for point in _installed() if point.name == name]
        if not points:
            raise BackendError(f"no backend is called {name!r}; there are {', '.join(available_backends())}")
        return _loaded(name, points[0])
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


def _installed() -> "EntryPoints":
    """The backends that installed packages bring."""
    from importlib.metadata import entry_points  # Slow to load, and most programs name built-in backends only.

    return entry_points(group=ENTRY_POINTS)


def _loaded(name: str, point: "EntryPoint") -> Any:
    try:
        return point.load()
    except ImportError as error:
        package = point.dist.name if point.dist else point.value
        raise BackendError(
            f"backend {name!r} of the package {package} needs {error.name}, which is not installed: "
            f"pip install '{package}[{name}]'"
        ) from error


def _check(choice: object) -> None:
    if isinstance(choice, str) and choice not in BUILT_IN and choice not in available_backends():
        raise BackendError(f"no backend is called {choice!r}; there are {', '.join(available_backends())}")
    if not isinstance(choice, str | SupportsRun | None):
        raise BackendError(
            f"{choice!r} is no backend: expected one of the names {', '.join(available_backends())}, or an object "
            f"with a method run(serialised_func, args, kwargs)"
        )


def _forget() -> None:
    """In the child of a fork: the parent's engines have threads and sockets that do not exist here."""
    global _lock
    _lock = threading.RLock()
    _engines.clear()


atexit.register(close_backends)
os.register_at_fork(after_in_child=_forget)
