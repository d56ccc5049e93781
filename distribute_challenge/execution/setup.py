"""Runs what has to run once in a process before the first call of a function.

    the function's payload brings it ──► `set_up_first` ──► the first call ──► it runs ──► the call

It runs inside the first call: so time limits, cancellation and the capture of output hold for it,
on every engine.

Functions of a script have a namespace each (`serialisation.script.namespace`). What a setup changes
in the namespace of the function that it ran for is copied to those of other functions with the same
setup, where it does not run again.

Guarantees:

- Setups with equal keys run once in a process, as long as the process keeps one of the functions
  that have them. Other threads wait meanwhile.
- A setup that raised has not run: the next call tries it again.
"""

import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import Any
from weakref import WeakValueDictionary

from distribute_challenge.core.forks import renew_in_children
from distribute_challenge.core.guarded import name_of, text_of
from distribute_challenge.core.interrupts import is_interrupt, is_worker
from distribute_challenge.core.signature import function_name
from distribute_challenge.serialisation import LoadedFunction, Script

__all__ = ["SetupRecord", "set_up_first"]

_MISSING = object()


def set_up_first(
    loaded: LoadedFunction, script: Script
) -> "tuple[LoadedFunction, SetupRecord | None]":
    """Return a function that sets its process up before its first call.

    Args:
        loaded: The function.
        script: The namespace of its script.

    Returns:
        The function, and the record that its cache keeps as long as the function; None if it has no
        setup.
    """
    if loaded.setup is None:
        return loaded, None
    key, setup = loaded.setup
    with _all.lock:
        record = _all.records.get(key)
        if record is None:
            record = _all.records[key] = SetupRecord(key)
    first = _SetUpFirst(loaded.function, setup, record, script)
    return loaded._replace(function=first, setup=None), record


class SetupRecord:
    """Whether a setup has run in this process, and what it has changed.

    Args:
        key: The setup's key.

    Attributes:
        is_done: Whether it has run.
        changes: The variables of its script that it has set, with their values.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self.is_done = False
        self.changes: Mapping[str, Any] = {}
        self._is_running = False
        # Reentrant: a setup may make calls of the function that it belongs to.
        self._lock = threading.RLock()
        renew_in_children(self)

    def renew_locks(self) -> None:
        self._lock = threading.RLock()

    def run(self, setup: Callable[[], Any], name: str, script: Script) -> None:
        """Run a setup, unless that has been done.

        Args:
            setup: The setup.
            name: Name of the function that it belongs to.
            script: The namespace of that function's script.

        Raises:
            SetupError: It raised an exception, which is the cause of this one.
        """
        with self._lock:
            if self.is_done or self._is_running:
                return
            before = dict(script.globals)
            self._is_running = True
            try:
                _run(setup, name, self._key)
            finally:
                self._is_running = False
            self.changes = {
                variable: value
                for variable, value in script.globals.items()
                if value is not before.get(variable, _MISSING) and not script.defines(variable)
            }
            self.is_done = True


class _SetUpFirst:
    """A function that sets its process up before its first call."""

    def __init__(
        self,
        function: Callable[..., Any],
        setup: Callable[[], Any],
        record: SetupRecord,
        script: Script,
    ) -> None:
        self._function = function
        self._setup: Callable[[], Any] | None = setup
        self._record = record
        self._script = script

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        setup = self._setup
        if setup is not None:
            self._record.run(setup, function_name(self._function), self._script)
            if self._record.is_done:
                self._script.globals.update(self._record.changes)
                self._setup = None
        return self._function(*args, **kwargs)


class _Records:
    """The records of this process, by key."""

    def __init__(self) -> None:
        self.records: WeakValueDictionary[str, SetupRecord] = WeakValueDictionary()
        self.lock = threading.Lock()
        renew_in_children(self)

    def renew_locks(self) -> None:
        self.lock = threading.Lock()


_all = _Records()


def _run(setup: Callable[[], Any], name: str, key: str) -> None:
    try:
        value = setup()
        if isinstance(value, Coroutine):
            # Imported late, because it imports asyncio, which most setups do not need.
            from distribute_challenge.execution.coroutines import run_to_completion

            run_to_completion(value, None)
    except BaseException as error:
        if is_interrupt(error) or (isinstance(error, KeyboardInterrupt) and not is_worker()):
            raise
        from distribute_challenge.broken_pool import SetupError

        raise SetupError(
            f"{function_name(getattr(setup, 'function', setup))}, which has to run once in this "
            f"process before the first call of {name}, raised "
            f"{name_of(type(error)).removeprefix('builtins.')}: {text_of(error)}",
            key,
        ) from error
