"""Runs one call, as often as its retries allow; the only place that calls the user's function.

A chunk of plain calls has a loop of its own (`run`).
"""

import random
import time
from collections.abc import Coroutine, Mapping
from contextlib import nullcontext
from inspect import CORO_CREATED, getcoroutinestate
from types import CoroutineType
from typing import Any

from distribute_challenge.core.forks import end_child, generation
from distribute_challenge.core.interrupts import is_interrupt, is_worker
from distribute_challenge.core.messages import Batch
from distribute_challenge.core.outcome import Failure
from distribute_challenge.execution.time_limit import TimeLimit
from distribute_challenge.serialisation import LoadedFunction

__all__ = ["LONGEST_PAUSE", "completed", "failure_of", "outcome_of"]

FIRST_PAUSE = 0.05  # Seconds before the first retry; doubled for each further one,
LONGEST_PAUSE = 5.0  # up to this.
_NOTHING = nullcontext()


def outcome_of(
    batch: Batch, loaded: LoadedFunction, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Run one call, as often as its retries allow."""
    pause = FIRST_PAUSE
    for attempt in range(batch.retries + 1):
        outcome = _attempt(batch, loaded, args, kwargs)
        if type(outcome) is not Failure or not isinstance(outcome.error, loaded.retry_on):
            break
        if attempt < batch.retries:
            # Jitter, so that calls which failed together are not all tried again together.
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, LONGEST_PAUSE)
    return outcome


def _attempt(
    batch: Batch, loaded: LoadedFunction, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    before = generation[0]
    limit = None if batch.timeout is None else TimeLimit(batch.timeout, batch.name)
    try:
        with _NOTHING if limit is None else limit.running():
            # Inside the `with` block: a context manager sets `__traceback__` of an exception that
            # passes it, which a frozen exception does not allow.
            value = None
            try:
                value = loaded.function(*args, **kwargs)
                if type(value) is CoroutineType or (
                    loaded.is_async and isinstance(value, Coroutine)
                ):
                    value = completed(value, batch.timeout)
            except BaseException as error:
                if generation[0] != before:
                    end_child(error)
                if type(value) is CoroutineType and getcoroutinestate(value) == CORO_CREATED:
                    value.close()  # Its time was over before: Python would warn that it never ran.
                return failure_of(error, args, kwargs)
    except BaseException as error:  # Raised by the time limit.
        return failure_of(error if limit is None else limit.translated(error), args, kwargs)
    if generation[0] != before:
        end_child()
    return value


def completed(coroutine: Coroutine[Any, Any, Any], seconds: float | None) -> Any:
    """Run a coroutine to its end, for so many seconds at most."""
    # Imported late, because it imports asyncio, which most calls do not need.
    from distribute_challenge.execution.coroutines import run_to_completion

    return run_to_completion(coroutine, seconds)


def failure_of(
    error: BaseException,
    args: tuple[Any, ...] | None = None,
    kwargs: Mapping[str, Any] | None = None,
) -> Failure:
    """Return the call's failure; raise the error again if it is an interrupt.

    Interrupts are a time limit or cancellation of an outer call, and Ctrl+C in a client.
    """
    if is_interrupt(error) or (isinstance(error, KeyboardInterrupt) and not is_worker()):
        raise error
    from distribute_challenge.serialisation.modules.project_importer import (
        note_missing_file,
    )  # Imported late: only calls that fail need it.

    note_missing_file(error)
    return Failure(error, None if args is None else (args, kwargs or {}))
