"""Runs what has to run once in a process before the first call of a function.

    the function's payload brings it ──► `set_up_first` ──► the first call ──► it runs ──► the call

It runs inside the first call: so time limits, cancellation and the capture of output hold for it,
on every engine.

Functions of a script have a namespace each (`serialisation.script.namespace`). What a setup changes
in the namespace of the function that it ran for is copied to those of other functions with the same
setup, where it does not run again.

Guarantees:

- Setups with equal keys run once in a process, which remembers those that were needed last. Other
  threads wait meanwhile.
- A setup that raised has not run: the next call tries it again.
"""

import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from distribute_challenge.core.forks import renew_in_children
from distribute_challenge.core.guarded import name_of, text_of
from distribute_challenge.core.interrupts import is_interrupt, is_worker
from distribute_challenge.core.signature import function_name
from distribute_challenge.serialisation import LoadedFunction, Script

__all__ = ["set_up_first"]

KEPT_RECORDS = 128  # As many as functions (`function_cache`); each may hold what its setup loaded.

LOOK_EVERY = 0.02  # Seconds; a guess: setups take seconds.

_MISSING = object()


def set_up_first(loaded: LoadedFunction, script: Script) -> LoadedFunction:
    """Return a function that sets its process up before its first call.

    Args:
        loaded: The function.
        script: The namespace of its script.
    """
    if loaded.setup is None:
        return loaded
    key, setup = loaded.setup
    first = _SetUpFirst(loaded.function, setup, _records.get(key), script)
    return loaded._replace(function=first, setup=None)


class _Record:
    """Whether a setup has run in this process, and what it has changed.

    Args:
        key: The setup's key.

    Attributes:
        is_done: Whether it has run.
        changes: The variables of its script that it has set, with their values.
    """

    def __init__(self, key: str) -> None:
        self.is_done = False
        self.changes: Mapping[str, Any] = {}
        self._key = key
        self._runner: int | None = None  # The thread that runs the setup.
        self.renew_locks()
        renew_in_children(self)

    def renew_locks(self) -> None:
        self._lock = threading.Lock()
        if self._runner != threading.get_ident():
            self._runner = None

    def run(self, setup: Callable[[], Any], name: str, script: Script) -> None:
        """Run a setup, unless that has been done.

        Args:
            setup: The setup.
            name: Name of the function that it belongs to.
            script: The namespace of that function's script.

        Raises:
            SetupError: It raised an exception, which is the cause of this one.
        """
        me = threading.get_ident()
        if self._runner == me:
            return  # This is a call that the setup itself makes.
        try:
            # Not by waiting for a lock: a call that is cancelled could not be stopped meanwhile.
            while not self._is_free_for(me):
                time.sleep(LOOK_EVERY)
            if self.is_done:
                return
            before = dict(script.globals)
            _run(setup, name, self._key)
            self.changes = {
                variable: value
                for variable, value in script.globals.items()
                if value is not before.get(variable, _MISSING) and not script.defines(variable)
            }
            self.is_done = True
        finally:
            if self._runner == me:
                self._runner = None

    def _is_free_for(self, thread: int) -> bool:
        """Whether the setup is done, or a thread may run it, which this method then records."""
        with self._lock:
            if self._runner is None and not self.is_done:
                self._runner = thread
            return self.is_done or self._runner == thread


class _SetUpFirst:
    """A function that sets its process up before its first call."""

    def __init__(
        self,
        function: Callable[..., Any],
        setup: Callable[[], Any],
        record: _Record,
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
    """The records of this process, by key: those of the setups that were needed last."""

    def __init__(self) -> None:
        self._records: dict[str, _Record] = {}
        self.renew_locks()
        renew_in_children(self)

    def renew_locks(self) -> None:
        self._lock = threading.Lock()

    def get(self, key: str) -> _Record:
        """Return the record of a key, which is made if there is none."""
        with self._lock:
            record = self._records.pop(key, None) or _Record(key)
            self._records[key] = record
            if len(self._records) > KEPT_RECORDS:
                del self._records[next(iter(self._records))]
            return record


_records = _Records()


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
