"""The one place where user code runs, on every backend: bytes in, bytes out.

`execute` takes an encoded `Batch`, runs its calls one after the other, and yields encoded `Reply`
frames. It knows nothing of brokers: the engine that calls it provides the function's payload and
sends the replies.
"""

import random
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from functools import partial
from inspect import CORO_CREATED, getcoroutinestate
from math import inf
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from distribute_challenge.core import clock
from distribute_challenge.core.failures import Failures
from distribute_challenge.core.forks import end_child, generation
from distribute_challenge.core.interrupts import become_worker, is_interrupt, is_worker
from distribute_challenge.core.messages import Batch
from distribute_challenge.core.outcome import Failure, add_note
from distribute_challenge.errors import (
    CallCancelledError,
    DistributeChallengeError,
    ValueMissingError,
)
from distribute_challenge.execution.batch_run import BatchRun, CallLogs, LargeValues
from distribute_challenge.execution.function_cache import CachedFunction, FunctionCache
from distribute_challenge.execution.interruption import WHOLE, Interruption
from distribute_challenge.execution.time_limit import TimeLimit
from distribute_challenge.execution.watchdog import Progress, Watchdog
from distribute_challenge.log import current_call
from distribute_challenge.serialisation import (
    LoadedFunction,
    unpack,
)

if TYPE_CHECKING:
    from distribute_challenge.execution.process_state import ProcessState

__all__ = ["become_worker", "calls_run", "execute", "inside_call", "known_as_call", "outcome_of"]

# Seconds after which outcomes that are ready are sent while the rest of the batch runs.
FLUSH_AFTER = 0.05
FIRST_PAUSE = 0.05  # Seconds before the first retry; doubled for each further one,
LONGEST_PAUSE = 5.0  # up to this.
# Seconds; a call of a map that takes less cannot have closed a stream. Its other changes are
# restored at the end of the message.
INSTANT = 1e-6
FORK = 2e-5  # Seconds; a fork always takes longer.
_INSTALL = "What it imports must be installed there; with Docker Compose, name it in PACKAGES."
_NOTHING = nullcontext()
_watchdog = Watchdog()

_inside_call: ContextVar[bool] = ContextVar("distribute_challenge_inside_call", default=False)
_calls_run = 0


def calls_run() -> int:
    """Return how many calls `execute` has run in this process so far.

    Engines use it to replace a process after a number of calls.
    """
    return _calls_run


def inside_call() -> bool:
    """Whether the calling code is part of a running call.

    The calls that it makes then run in place (see docs).
    """
    return is_worker() or _inside_call.get()


def execute(
    batch: Batch | bytes,
    functions: FunctionCache,
    worker: str,
    values: LargeValues | None = None,
    send_ahead: Callable[[bytes], None] | None = None,
    interruption: Interruption | None = None,
    process: "ProcessState | None" = None,
    failures: Failures | None = None,
    logs: CallLogs | None = None,
) -> Iterator[bytes]:
    """Run the calls of one batch.

    Args:
        batch: The batch, or its frame.
        functions: The cache that loads the function.
        worker: Name of this process, for the timelines.
        values: Access to large values; None if they stay in the messages.
        send_ahead: Sends a reply from another thread while a call takes long, so that the calls
            after it need not wait; None: they wait.
        interruption: Stops calls that are cancelled; None: only the engine itself can stop them.
        process: Restores what a call has changed in its process; None if the process is the user's
            own.
        failures: Records what has gone wrong, before the reply that says so is yielded; None: it is
            not recorded.
        logs: Sends what the calls print to their client; None: it is not sent.

    Yields:
        Encoded `Reply` frames: one, or several if the calls are slow, so that early results do not
            wait for late ones. Together they hold one outcome for each call, or the reason why
            there is none.
    """
    if not isinstance(batch, Batch):
        batch = Batch.decode(batch)
    run = BatchRun(batch, worker, values, failures)
    try:
        batch.check_versions()
    except DistributeChallengeError as error:
        yield run.problem("version", str(error))
        return
    if interruption is not None and interruption.is_unwanted(WHOLE):
        yield run.cancelled()
        return
    try:
        function = functions.load(batch.function, run.large.open)
    except ValueMissingError as error:
        yield run.value_missing(error)
        return
    except BaseException as error:
        add_note(error, f"{batch.name} {_not_loaded(worker, error)}")
        run.finishes.extend([clock.now()] * batch.calls)
        yield from run.replies(0, [Failure(error)] * batch.calls)
        return
    if function is None:
        yield run.problem("function_missing", batch.function)
        return
    if logs is not None:
        logs.follow(run.progress.outcomes)
    runs = _run_chunk if batch.chunk else partial(_run_calls, logs)
    with known_as_call(batch.name), process or _NOTHING:
        if send_ahead is None or batch.calls == 1:
            yield from runs(run, function, interruption, process)
        else:
            with _watchdog.looking_at(run.progress, partial(run.send_ahead, send_ahead)):
                yield from runs(run, function, interruption, process)
    global _calls_run
    _calls_run += len(run.progress.outcomes)


@contextmanager
def known_as_call(name: str) -> Iterator[None]:
    """Make the name of the running call known to its log, and that code is inside a call."""
    name_token, inside_token = current_call.set(name), _inside_call.set(True)
    try:
        yield
    finally:
        # An abandoned run is closed by the garbage collector, in another thread, where nothing is set.
        with suppress(ValueError):
            current_call.reset(name_token)
            _inside_call.reset(inside_token)


def _run_calls(
    logs: CallLogs | None,
    run: BatchRun,
    function: CachedFunction,
    interruption: Interruption | None,
    process: "ProcessState | None",
) -> Iterator[bytes]:
    batch, progress = run.batch, run.progress
    finishes = run.finishes
    flushed = finished = run.started
    call, otherwise = partial(_unpacked_outcome, run, function), partial(_cancelled, batch)
    for number in range(len(batch.arguments)):
        try:
            outcome = (
                call(number) if interruption is None else interruption.run(number, call, otherwise)
            )
        except ValueMissingError as error:
            first, outcomes = progress.end()
            if outcomes:
                yield from run.replies(first, outcomes, ended=False)
            yield run.value_missing(error)
            return
        if (
            type(outcome) is Failure
            and interruption is not None
            and interruption.is_unwanted(WHOLE)
        ):
            progress.end()
            yield run.cancelled()
            return
        if logs is not None and logs.has_printed:
            logs.end_call()
        # The time first: the watchdog counts outcomes, and reads a time for each.
        finishes.append(clock.now())
        progress.outcomes.append(outcome)
        if process is not None and (
            type(outcome) is Failure or process.is_changed(finishes[-1] - finished)
        ):
            process.put_back()
        finished = finishes[-1]
        if progress.is_overdue() and progress.is_over():
            break
        if finishes[-1] - flushed > FLUSH_AFTER and len(finishes) < len(batch.arguments):
            flushed = finishes[-1]
            yield from run.replies(*progress.take(), ended=False)
    yield from run.replies(*progress.end())


def _unpacked_outcome(run: BatchRun, function: CachedFunction, number: int) -> Any:
    try:
        # The first call uses the function as it was just loaded.
        loaded = function.again() if number and function.again is not None else function.loaded
        args, kwargs = unpack(run.batch.arguments[number], run.large.open)
    except ValueMissingError:
        raise
    except BaseException as error:
        return _failure(_noted_argument(run, error))
    return outcome_of(run.batch, loaded, args, kwargs)


def _noted_argument(run: BatchRun, error: BaseException) -> BaseException:
    """Add a note to an error of unpickling arguments that says so, and return the error."""
    add_note(error, f"An argument of {run.batch.name} {_not_loaded(run.worker, error)}")
    return error


def _not_loaded(worker: str, error: BaseException) -> str:
    text = f"could not be loaded on the worker {worker}."
    return f"{text} {_INSTALL}" if isinstance(error, ImportError) else text


def _cancelled(batch: Batch) -> Failure:
    return Failure(CallCancelledError(f"{batch.name} was cancelled"))


def _run_chunk(
    run: BatchRun,
    function: CachedFunction,
    interruption: Interruption | None,
    process: "ProcessState | None",
) -> Iterator[bytes]:
    progress = run.progress
    calls = partial(_run_unpacked_chunk, run, function.loaded, process)
    try:
        is_wanted = (
            calls(WHOLE) if interruption is None else interruption.run(WHOLE, calls, lambda: False)
        )
    except ValueMissingError as error:
        yield run.value_missing(error)
        return
    if is_wanted:
        yield from run.replies(*progress.end())
    else:
        progress.end()
        yield run.cancelled()


def _run_unpacked_chunk(
    run: BatchRun, loaded: LoadedFunction, process: "ProcessState | None", _: int
) -> bool:
    try:
        calls = unpack(run.batch.arguments[0], run.large.open)
    except ValueMissingError:
        raise
    except BaseException as error:
        run.progress.outcomes.extend([_failure(_noted_argument(run, error))] * run.batch.chunk)
    else:
        _run_calls_of_chunk(run.batch, loaded, calls, run.progress, process)
    return True


def _run_calls_of_chunk(
    batch: Batch,
    loaded: LoadedFunction,
    calls: Sequence[tuple[Any, ...]],
    progress: Progress,
    process: "ProcessState | None",
) -> None:
    """Run the calls of a chunk: all, or the first ones if other workers should run the rest."""
    function = loaded.function
    plain = batch.timeout is None and not batch.retries and not loaded.is_async
    outcomes = progress.outcomes
    add = outcomes.append
    deadline = progress.deadline
    before = generation[0]
    # A call that takes at most twice as long as the fastest call that changed nothing is assumed to
    # have changed nothing either.
    fastest, harmless = inf, 0.0
    began = time.monotonic()
    for args in calls:
        # The plain case may run a million times: there is only the call and a look at the clock.
        if plain:
            try:
                add(function(*args))
            except BaseException as error:
                if generation[0] != before:
                    end_child(error)
                add(_failure(error, args, {}))
                # As if it had taken long, so that the process is checked for changes.
                began = 0.0
        else:
            add(outcome_of(batch, loaded, args, {}))
        now = time.monotonic()
        took = now - began
        if took > harmless:
            if generation[0] != before:
                end_child()
            if plain and type(outcomes[-1]) is CoroutineType:
                # A decorator hides that the function is a coroutine function, so from now on no
                # call is plain.
                plain = False
                outcomes[-1] = _ended(outcomes[-1], args)
            if process is not None and process.is_changed(took):
                process.put_back()
            elif took < fastest:
                fastest = took
                harmless = max(INSTANT, min(2 * fastest, FORK))
        if now > deadline and progress.is_over():
            break
        began = now


def _ended(coroutine: Coroutine[Any, Any, Any], args: tuple[Any, ...]) -> Any:
    try:
        return _completed(coroutine, None)
    except BaseException as error:
        return _failure(error, args, {})


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
                    value = _completed(value, batch.timeout)
            except BaseException as error:
                if generation[0] != before:
                    end_child(error)
                if type(value) is CoroutineType and getcoroutinestate(value) == CORO_CREATED:
                    value.close()  # Its time was over before: Python would warn that it never ran.
                return _failure(error, args, kwargs)
    except BaseException as error:  # Raised by the time limit.
        return _failure(error if limit is None else limit.translated(error), args, kwargs)
    if generation[0] != before:
        end_child()
    return value


def _completed(coroutine: Coroutine[Any, Any, Any], seconds: float | None) -> Any:
    # Imported late, because it imports asyncio, which most calls do not need.
    from distribute_challenge.execution.coroutines import run_to_completion

    return run_to_completion(coroutine, seconds)


def _failure(
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
