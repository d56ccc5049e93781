"""Functions of tasks as ordinary callables, for engines that do not know tasks."""

import os
import pickle
import sys
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from distribute_challenge.core.messages import Batch, Task
from distribute_challenge.core.outcome import unwrap
from distribute_challenge.execution.attempts import outcome_of
from distribute_challenge.execution.run import known_as_call
from distribute_challenge.execution.setup import set_up_first
from distribute_challenge.serialisation import (
    LoadedFunction,
    Script,
    load_function,
    unpack_function,
)

__all__ = ["callable_bytes"]

# Tells this process, and the children that it forks, from others.
_HERE: Final = os.urandom(16)


def callable_bytes(task: Task) -> bytes:
    """Pickle a task's function so that `pickle.loads` gives an ordinary callable.

    It is for engines that do not know tasks. The callable works in any process that has this
    library, and keeps the task's time limit and retries.
    """
    return pickle.dumps(
        _Packed(
            task.function.payload,
            task.function.name,
            task.options.timeout,
            task.options.retries,
            _HERE,
        )
    )


class _Packed(NamedTuple):
    payload: bytes
    name: str
    timeout: float | None
    retries: int
    origin: bytes

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpack, tuple(self)


def _unpack(
    payload: bytes, name: str, timeout: float | None, retries: int, origin: bytes
) -> Callable[..., Any]:
    unpacked = unpack_function(payload)
    # The process of the caller can import what it has not imported yet, and must keep its modules.
    if origin != _HERE and not all(module.name in sys.modules for module in unpacked.modules):
        from distribute_challenge.serialisation.modules.project_importer import (
            ProjectImporter,  # Imported late: only workers need it.
        )

        ProjectImporter().activate(unpacked.modules)
    script = Script(unpacked.script)
    with script.loading():
        loaded = load_function(unpacked.data)
    return _Unpacked(
        set_up_first(loaded, script), Batch("", "", name, (), timeout=timeout, retries=retries)
    )


class _Unpacked:
    def __init__(self, loaded: LoadedFunction, batch: Batch) -> None:
        self.__name__ = batch.name
        self._loaded = loaded
        self._batch = batch

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        with known_as_call(self._batch.name):
            outcome = outcome_of(self._batch, self._loaded, args, kwargs)
        return unwrap(outcome)
