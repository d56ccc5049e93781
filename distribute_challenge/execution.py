"""The one place where user code runs, on every backend: bytes in, bytes out.

`execute` takes an encoded `Batch`, runs its calls one after the other, and gives encoded `Reply` frames. It
knows nothing of brokers: whoever calls it brings the function's payload and takes the replies.
"""

import pickle
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import partial
from typing import Any, NamedTuple

from distribute_challenge.batch_run import BatchRun, LargeValues
from distribute_challenge.errors import CallCancelledError, DistributeChallengeError, ValueMissingError
from distribute_challenge.function_cache import FunctionCache
from distribute_challenge.interruption import WHOLE, Interruption, StoppedError
from distribute_challenge.log import current_call
from distribute_challenge.messages import Batch, Task
from distribute_challenge.outcome import Failure, unwrap
from distribute_challenge.overseer import Overseer, Progress
from distribute_challenge.serialisation import (
    LoadedFunction,
    ProjectImporter,
    load_function,
    load_modules,
    unpack,
)
from distribute_challenge.time_limit import OverdueError, time_limit

__all__ = ["become_worker", "callable_bytes", "calls_run", "execute", "inside_call"]

FLUSH_AFTER = 0.05  # Seconds after which finished outcomes go home while the rest of the batch runs.
FIRST_PAUSE = 0.05  # Seconds before the first retry; doubled for each further one,
LONGEST_PAUSE = 5.0  # up to this.
_NO_LIMIT = nullcontext()
_overseer = Overseer()

_inside_call: ContextVar[bool] = ContextVar("distribute_challenge_inside_call", default=False)
_is_worker = False
_calls_run = 0


def calls_run() -> int:
    """How many calls `execute` has run in this process so far, for whoever replaces processes after so many."""
    return _calls_run


def become_worker() -> None:
    """Say that this process exists to run calls: whatever it calls runs here too, in any of its threads."""
    global _is_worker
    _is_worker = True


def inside_call() -> bool:
    """Whether the code that asks is part of a running call. Its own calls then run in place (see docs)."""
    return _is_worker or _inside_call.get()


def execute(
    batch: Batch | bytes,
    functions: FunctionCache,
    worker: str,
    values: LargeValues | None = None,
    send_ahead: Callable[[bytes], None] | None = None,
    interruption: Interruption | None = None,
) -> Iterator[bytes]:
    """Run the calls of one batch.

    Args:
        batch: The batch, or its frame.
        functions: Where the function comes from.
        worker: Name of this process, for the timelines.
        values: Where large values are; None where they stay in the messages.
        send_ahead: Sends a reply from another thread while a call takes long, so that those behind it need not wait; None:
            they do.
        interruption: Stops those that are cancelled; None: only the engine itself can.

    Yields:
        Encoded `Reply` frames: one, or several if the calls are slow, so that early results do not wait for late
        ones. Together they hold one outcome for each call, or the reason why there is none.
    """
    if not isinstance(batch, Batch):
        batch = Batch.decode(batch)
    run = BatchRun(batch, worker, values)
    try:
        batch.check_versions()
    except DistributeChallengeError as error:
        yield run.problem("version", str(error))
        return
    if interruption is not None and interruption.is_unwanted(WHOLE):
        yield run.cancelled()
        return
    try:
        loaded = functions.load(batch.function, run.large.open)
    except ValueMissingError as error:
        yield run.value_missing(error)
        return
    except BaseException as error:
        error.add_note(
            f"{batch.name} could not be loaded on the worker {worker}; what it imports must be installed there."
        )
        run.finishes.extend([time.time()] * batch.calls)
        yield from run.replies(0, [Failure(error)] * batch.calls)
        return
    if loaded is None:
        yield run.problem("function_missing", batch.function)
        return
    runs = _run_chunk if batch.chunk else _run_calls
    with _known_as_call(batch.name):
        if send_ahead is None or batch.calls == 1:
            yield from runs(run, loaded, interruption)
        else:
            with _overseer.looking_at(run.progress, partial(run.send_ahead, send_ahead)):
                yield from runs(run, loaded, interruption)
    global _calls_run
    _calls_run += len(run.progress.outcomes)


def callable_bytes(task: Task) -> bytes:
    """A task's function for those who know nothing of tasks: `pickle.loads` turns the bytes into an ordinary callable.

    It works in any process that has this library, and keeps the task's time limit and retries.
    """
    return pickle.dumps(_Packed(task.function.payload, task.function.name, task.options.timeout, task.options.retries))


class _Packed(NamedTuple):
    payload: bytes
    name: str
    timeout: float | None
    retries: int

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpack, tuple(self)


def _unpack(payload: bytes, name: str, timeout: float | None, retries: int) -> Callable[..., Any]:
    modules, data = load_modules(payload)
    if not all(module.name in sys.modules for module in modules):
        ProjectImporter().activate(modules)
    return _Unpacked(load_function(data), Batch("", "", name, (), timeout=timeout, retries=retries))


class _Unpacked:
    def __init__(self, loaded: LoadedFunction, batch: Batch) -> None:
        self.__name__ = batch.name
        self._loaded = loaded
        self._batch = batch

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with _known_as_call(self._batch.name):
            return unwrap(_outcome(self._batch, self._loaded, args, kwargs))


@contextmanager
def _known_as_call(name: str) -> Iterator[None]:
    name_token, inside_token = current_call.set(name), _inside_call.set(True)
    try:
        yield
    finally:
        current_call.reset(name_token)
        _inside_call.reset(inside_token)


def _run_calls(run: BatchRun, loaded: LoadedFunction, interruption: Interruption | None) -> Iterator[bytes]:
    batch, progress = run.batch, run.progress
    finishes = run.finishes
    flushed = run.started
    call, otherwise = partial(_unpacked_outcome, run, loaded), partial(_cancelled, batch)
    for number in range(len(batch.arguments)):
        try:
            outcome = call(number) if interruption is None else interruption.run(number, call, otherwise)
        except ValueMissingError as error:
            first, outcomes = progress.end()
            if outcomes:
                yield from run.replies(first, outcomes, ended=False)
            yield run.value_missing(error)
            return
        if type(outcome) is Failure and interruption is not None and interruption.is_unwanted(WHOLE):
            progress.end()
            yield run.cancelled()
            return
        # The finish first: the overseer counts outcomes.
        finishes.append(time.time())
        progress.outcomes.append(outcome)
        if progress.is_overdue() and progress.is_over():
            break
        if finishes[-1] - flushed > FLUSH_AFTER and len(finishes) < len(batch.arguments):
            flushed = finishes[-1]
            yield from run.replies(*progress.take(), ended=False)
    yield from run.replies(*progress.end())


def _unpacked_outcome(run: BatchRun, loaded: LoadedFunction, number: int) -> Any:
    try:
        args, kwargs = unpack(run.batch.arguments[number], run.large.open)
    except ValueMissingError:
        raise
    except BaseException as error:
        return _failure(error)
    return _outcome(run.batch, loaded, args, kwargs)


def _cancelled(batch: Batch) -> Failure:
    return Failure(CallCancelledError(f"{batch.name} was cancelled"))


def _run_chunk(run: BatchRun, loaded: LoadedFunction, interruption: Interruption | None) -> Iterator[bytes]:
    progress = run.progress
    calls = partial(_run_unpacked_chunk, run, loaded)
    try:
        is_wanted = calls(WHOLE) if interruption is None else interruption.run(WHOLE, calls, lambda: False)
    except ValueMissingError as error:
        yield run.value_missing(error)
        return
    if is_wanted:
        yield from run.replies(*progress.end())
    else:
        progress.end()
        yield run.cancelled()


def _run_unpacked_chunk(run: BatchRun, loaded: LoadedFunction, _: int) -> bool:
    try:
        calls = unpack(run.batch.arguments[0], run.large.open)
    except ValueMissingError:
        raise
    except BaseException as error:
        run.progress.outcomes.extend([_failure(error)] * run.batch.chunk)
    else:
        _run_calls_of_chunk(run.batch, loaded, calls, run.progress)
    return True


def _run_calls_of_chunk(
    batch: Batch, loaded: LoadedFunction, calls: Sequence[tuple[Any, ...]], progress: Progress
) -> None:
    """Run the chunk's first calls: all, unless they take so long that others should have the rest."""
    function = loaded.function
    plain = batch.timeout is None and not batch.retries and not loaded.is_async
    add = progress.outcomes.append
    deadline = progress.deadline
    for args in calls:
        # The plain case, a million times: nothing inside the loop but the call and a look at the clock.
        if plain:
            try:
                add(function(*args))
            except BaseException as error:
                add(_failure(error))
        else:
            add(_outcome(batch, loaded, args, {}))
        if time.monotonic() > deadline and progress.is_over():
            break


def _outcome(batch: Batch, loaded: LoadedFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run one call, as often as its retries allow."""
    pause = FIRST_PAUSE
    for attempt in range(batch.retries + 1):
        outcome = _attempt(batch, loaded, args, kwargs)
        if type(outcome) is not Failure or not isinstance(outcome.error, loaded.retry_on):
            break
        if attempt < batch.retries:
            # Jitter, so that calls which failed together do not all come back together.
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, LONGEST_PAUSE)
    return outcome


def _attempt(batch: Batch, loaded: LoadedFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        with time_limit(batch.timeout, batch.name) if batch.timeout is not None else _NO_LIMIT:
            value = loaded.function(*args, **kwargs)
            if not loaded.is_async:
                return value
            # Brings asyncio, which most calls do without.
            from distribute_challenge.coroutines import run_to_completion

            return run_to_completion(value, batch.timeout)
    except BaseException as error:
        return _failure(error)


def _failure(error: BaseException) -> Failure:
    """The call's failure, unless it is somebody else's business: an outer call's time limit or end, or Ctrl+C here."""
    if isinstance(error, OverdueError | StoppedError) or (isinstance(error, KeyboardInterrupt) and not _is_worker):
        raise error
    return Failure(error)
