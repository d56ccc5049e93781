"""The one place where user code runs, on every backend: bytes in, bytes out.

`execute` takes an encoded `Batch`, runs its calls one after the other, and yields encoded `Reply`
frames. It knows nothing of brokers: the engine that calls it provides the function's payload and
sends the replies.
"""

import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from functools import partial
from math import inf
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from distribute_challenge.core import clock
from distribute_challenge.core.failures import Failures
from distribute_challenge.core.forks import end_child, generation
from distribute_challenge.core.interrupts import become_worker, is_worker
from distribute_challenge.core.messages import Batch
from distribute_challenge.core.outcome import Failure, add_note
from distribute_challenge.errors import (
    DistributeChallengeError,
    ValueMissingError,
)
from distribute_challenge.execution.attempts import completed, failure_of, outcome_of
from distribute_challenge.execution.batch_calls import BatchCalls, not_loaded, noted_argument
from distribute_challenge.execution.batch_run import (
    BatchRun,
    CallLogs,
    FunctionMissingError,
    LargeValues,
)
from distribute_challenge.execution.function_cache import CachedFunction, FunctionCache
from distribute_challenge.execution.interruption import WHOLE, Interruption
from distribute_challenge.execution.size_guess import SizeGuess
from distribute_challenge.execution.watchdog import Progress, Watchdog
from distribute_challenge.log import current_call
from distribute_challenge.serialisation import (
    LoadedFunction,
    unpack,
)

if TYPE_CHECKING:
    from distribute_challenge.execution.process_state import ProcessState

__all__ = ["become_worker", "calls_run", "execute", "inside_call", "known_as_call"]

# Seconds after which outcomes that are ready are sent while the rest of the batch runs.
FLUSH_AFTER = 0.05
# Seconds; a call of a map that takes less cannot have closed a stream. Its other changes are
# restored at the end of the message.
INSTANT = 1e-6
FORK = 2e-5  # Seconds; a fork always takes longer.
LOOK_EVERY = 0.005  # Seconds, at least, between two looks at the results of a chunk.
# Bytes of results after which a chunk gives back its other calls: four times what the client
# expects of one message (`batching.LARGEST_RESULTS`).
LARGEST_GUESS = 16_000_000
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
        yield run.missing(error)
        return
    except BaseException as error:
        add_note(error, f"{batch.name} {not_loaded(worker, error)}")
        run.finishes.extend([clock.now()] * batch.calls)
        yield from run.replies(0, [Failure(error)] * batch.calls)
        return
    if function is None:
        yield run.missing(FunctionMissingError(batch.function))
        return
    if logs is not None:
        logs.follow(run.progress.outcomes)
    runs = _run_chunk if batch.chunk else partial(_run_calls, logs, functions)
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
    functions: FunctionCache,
    run: BatchRun,
    function: CachedFunction,
    interruption: Interruption | None,
    process: "ProcessState | None",
) -> Iterator[bytes]:
    batch, progress = run.batch, run.progress
    finishes = run.finishes
    flushed = finished = run.started
    call = BatchCalls(run, functions, function)
    otherwise = call.cancelled
    for number in range(len(batch.arguments)):
        try:
            outcome = (
                call(number) if interruption is None else interruption.run(number, call, otherwise)
            )
        except (ValueMissingError, FunctionMissingError) as error:
            first, outcomes = progress.end()
            if outcomes:
                yield from run.replies(first, outcomes, ended=False)
            yield run.missing(error)
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
        yield run.missing(error)
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
        run.progress.outcomes.extend(
            [failure_of(noted_argument(run.batch.name, run.worker, error))] * run.batch.chunk
        )
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
    guess = SizeGuess(outcomes)
    before = generation[0]
    # A call that takes at most twice as long as the fastest call that changed nothing is assumed to
    # have changed nothing either.
    fastest, harmless = inf, 0.0
    began = time.monotonic()
    look_at = min(began + LOOK_EVERY, progress.deadline)
    for args in calls:
        # The plain case may run a million times: there is only the call and a look at the clock.
        if plain:
            try:
                add(function(*args))
            except BaseException as error:
                if generation[0] != before:
                    end_child(error)
                add(failure_of(error, args, {}))
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
        if now > look_at:
            look_at = min(now + LOOK_EVERY, progress.deadline)
            # By the results before them, the client expected these to be smaller.
            is_large = guess.total() > LARGEST_GUESS
            if (is_large or progress.is_overdue()) and progress.is_over():
                break
        began = now


def _ended(coroutine: Coroutine[Any, Any, Any], args: tuple[Any, ...]) -> Any:
    try:
        return completed(coroutine, None)
    except BaseException as error:
        return failure_of(error, args, {})
