"""From a function and its arguments to the `Task` that an engine takes."""

import time
from collections.abc import Sequence
from typing import Any

from distribute_challenge.errors import SerialisationError
from distribute_challenge.messages import Task
from distribute_challenge.options import CallOptions
from distribute_challenge.serialisation import Pickled, PortableFunction, dumps, dumps_plain

__all__ = ["pickled_chunk", "single_task"]

_NO_MODULES: frozenset[str] = frozenset()


def single_task(
    portable: PortableFunction,
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: CallOptions,
    *,
    within: float = 0.0,
) -> Task:
    """One call. Its arguments are pickled now: what the caller does to them later does not matter.

    Args:
        portable: What to call.
        name: Readable name for messages.
        args: What to call it with.
        kwargs: Likewise.
        options: How to run it.
        within: As for `PortableFunction.payload`.

    Raises:
        SerialisationError: The function or an argument cannot be pickled; the message names the culprit.
    """
    data = dumps_plain((args, kwargs))
    modules = _NO_MODULES
    if data is None:
        data, modules = _pickled((args, kwargs), name, args, kwargs)
    return Task(portable.payload(modules, within=within), data, options, time.time())


def pickled_chunk(name: str, calls: Sequence[tuple[Any, ...]]) -> Pickled:
    """The arguments of consecutive calls of a `map`, as `Task.arguments` holds them.

    Raises:
        SerialisationError: An argument of one of the calls cannot be pickled; the message names it.
    """
    data = dumps_plain(calls)
    if data is not None:
        return Pickled(data, _NO_MODULES)
    try:
        return dumps(calls, f"a call of {name}")
    except SerialisationError:
        # Only a failure looks at the calls one by one, to find the one to blame.
        for args in calls:
            _pickled(args, name, args, {})
        raise


def _pickled(value: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Pickled:
    try:
        return dumps(value, f"a call of {name}")
    except SerialisationError:
        arguments = [(str(index + 1), argument) for index, argument in enumerate(args)]
        for label, argument in [*arguments, *((repr(key), argument) for key, argument in kwargs.items())]:
            dumps(argument, f"argument {label} of {name}")
        raise
