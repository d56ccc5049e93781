"""Decide what to do about a call that is lost or late; the same on every engine.

An engine says what happened: a process died, a message is gone, no worker has begun the call in
time. Each question has its function here. Those named ``after_...`` return a function that makes
the error that ends the call, or None if the call has to be begun again. They only decide: they do
no I/O, and use no clock and no lock. The engine makes the error after it has released its locks,
because the error's text shows the arguments of the call.
"""

from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import Any, Final

from distribute_challenge.core.chunk_result import ChunkResult
from distribute_challenge.core.messages import Problem, ProblemKind, Task
from distribute_challenge.core.options import CallOptions
from distribute_challenge.core.outcome import Failure
from distribute_challenge.errors import (
    Attempt,
    CallCancelledError,
    CallTimeoutError,
    DistributeChallengeError,
    OptionError,
    QueueTimeoutError,
    SerialisationError,
    SystemFailureError,
    TaskLostError,
    ValueLostError,
    VersionMismatchError,
    WorkerLostError,
)
from distribute_challenge.execution.attempts import LONGEST_PAUSE
from distribute_challenge.execution_backends.loss_report import described, task_lost, worker_lost

__all__ = [
    "HARD_LIMIT_GRACE",
    "HARMLESS",
    "IN_THE_FRAME",
    "LONGEST_LIMIT",
    "MOST_LOSSES",
    "MOST_MISSES",
    "OPTIONS",
    "MakeError",
    "after_miss",
    "after_problem",
    "after_unbegun",
    "after_vanishing",
    "allowed_attempts",
    "begin_by",
    "counts",
    "ends_map",
    "hard_limit",
    "is_sent_one_by_one",
    "not_honoured",
    "queue_timeout_error",
    "result_of_lost",
    "urgency",
]

#: All options that an engine may honour or refuse.
OPTIONS: Final = frozenset(CallOptions.__slots__) - {"backend"}

#: The options that travel in a task's frame or with its function, and that `execute` keeps.
IN_THE_FRAME: Final = frozenset({"timeout", "retries", "retry_on", "setup"})

MOST_LOSSES: Final = (
    3  # How often a call may be lost before it has begun: with its message, or an idle process.
)
MOST_MISSES: Final = (
    3  # How often a worker may fail to find a value that was stored where all workers find it.
)

HARD_LIMIT_GRACE: Final = (
    2.0  # Seconds that a call may run over its timeout before its process is killed.
)
LONGEST_LIMIT: Final = (
    1e9  # Seconds: engines calculate with them, while a timeout may be any number.
)

#: Problems that are no fault of the calls of a message: other calls were cancelled, the message was
#: late, or a value was missing.
HARMLESS: Final[tuple[ProblemKind, ...]] = ("cancelled", "expired", "value_missing")

MakeError = Callable[[], DistributeChallengeError]

_MAY_HAVE_RUN = (
    "It may have run, and at_most_once=True forbids to try again: see whether it has, and if not, "
    "make the call again."
)


# --- which options an engine keeps


def not_honoured(
    options: CallOptions, refused: Iterable[str], engine: str, others: Iterable[str]
) -> OptionError:
    """Return the error of a call with options that its engine does not keep.

    Args:
        options: The options of the call.
        refused: Names of the options that were set and that the engine does not keep.
        engine: The engine's name.
        others: Names of the engines that keep all options of the call.

    Examples:
        >>> print(not_honoured(CallOptions(queue="gpu"), ["queue"], "threads", ["celery", "local"]))
        the backend 'threads' does not keep queue='gpu'; 'celery' and 'local' do. Use one that does, or leave the option out: \
.with_options(queue='distribute_challenge')
    """
    names, default = sorted(refused), CallOptions()
    given, usual = (
        ", ".join(f"{name}={getattr(each, name)!r}" for name in names)
        for each in (options, default)
    )
    *keepers, last = [repr(name) for name in others] or [""]
    who = (
        f"{', '.join(keepers)}{' and ' if keepers else ''}{last} {'do' if keepers else 'does'}. "
        f"Use one that does, or leave"
    )
    return OptionError(
        f"the backend {engine!r} does not keep {given}; "
        f"{who if last else 'no backend here does. Leave'} "
        f"{'the option' if len(names) == 1 else 'the options'} out: .with_options({usual})"
    )


# --- how often, when, in which order


def allowed_attempts(options: CallOptions, attempts: int) -> int:
    """Return how often a call may be begun in all, if its process or worker dies each time.

    Args:
        options: The options of the call.
        attempts: The number from the environment (`settings.attempts`).
    """
    return 1 if options.at_most_once else attempts


def urgency(options: CallOptions) -> int:
    """Return the sort key of a waiting call; the smallest begins first.

    Calls with the same key begin in the order in which they were made.
    """
    return -options.priority


def begin_by(task: Task, attempts: Sequence[Attempt] = ()) -> float:
    """Return when a worker must have begun a call, in seconds since the epoch.

    Without a `queue_timeout`, it is infinite.

    Args:
        task: The call.
        attempts: Its failed attempts. The time of a lost call begins anew with its loss.
    """
    since = attempts[-1].ended if attempts else task.created
    return since + (task.options.queue_timeout or inf)


def hard_limit(timeout: float | None, retries: int, *, before: float = 0.0) -> float | None:
    """Return the seconds after which a process is killed that ignores its time limit; None: never.

    Args:
        timeout: Seconds that one attempt may run.
        retries: How often the call may be tried again.
        before: Seconds that other calls, which the process gets with it, may run before it.
    """
    if timeout is None:
        return None
    return min(
        before + (timeout + LONGEST_PAUSE) * retries + timeout + HARD_LIMIT_GRACE, LONGEST_LIMIT
    )


# --- decisions on a call


def after_problem(
    task: Task, attempts: Sequence[Attempt], problem: Problem, *, allowed: int, calls: int
) -> MakeError | None:
    """Decide on a call for which its worker has no outcome.

    Args:
        task: The call.
        attempts: Its failed attempts so far, with this one as the last if it `counts`.
        problem: The problem that the worker, or the engine itself, reports.
        allowed: How often a call may be begun in all.
        calls: How many calls the worker had no outcome for, this one among them. Above 1, any of
            them may be the cause.
    """
    options = task.options
    if problem.kind == "version":
        return lambda: VersionMismatchError(problem.text)
    if not counts(task, problem):
        if problem.kind == "cancelled" and task.chunk:
            return lambda: CallCancelledError(f"{task.function.name}: {problem.text}")
        return None  # The problem is not the call's, so it has to be begun again.
    if problem.kind == "timeout" and calls == 1:
        limit = options.timeout or 0.0
        return lambda: CallTimeoutError(
            f"{task.function.name} ran longer than timeout={limit:g} s; {problem.text}"
        )
    if options.at_most_once:
        return lambda: worker_lost(task, attempts, _MAY_HAVE_RUN)
    if task.chunk > 1:
        return lambda: worker_lost(
            task, attempts, "Its calls are to be sent one by one."
        )  # The map sends them.
    # Any of several calls may be the cause. From now on each travels by itself, so the next attempt
    # will show which it was.
    if calls > 1 or len(attempts) < allowed:
        return None
    times = f"{len(attempts)} times in {len(attempts)} attempts"
    return lambda: worker_lost(
        task,
        attempts,
        f"That happened {times}: look for a crash in C code, os._exit, or too little memory on the "
        f"worker.",
    )


def counts(task: Task, problem: Problem) -> bool:
    """Whether a problem counts as an attempt of a call, because the call may have been begun."""
    # If other calls were cancelled, this one may have been running in the process that was killed
    # for that.
    if problem.kind == "cancelled":
        return task.options.at_most_once
    return problem.kind not in (*HARMLESS, "version")


def after_unbegun(task: Task, ends: Sequence[Attempt]) -> MakeError | None:
    """Decide on a call whose process died before the call had begun.

    The call has not run, so this is no attempt of it.

    Args:
        task: The call.
        ends: Each time that this happened, with the latest as the last one.
    """
    if len(ends) < MOST_LOSSES:
        return None
    return lambda: worker_lost(
        task,
        ends,
        f"That happened {len(ends)} times before the call had begun: see whether processes are "
        f"killed, and whether memory suffices "
        f"for its arguments.",
    )


def after_vanishing(
    task: Task, attempts: Sequence[Attempt], losses: int, *, is_cut: bool
) -> MakeError | None:
    """Decide on a call whose message is gone, and that got no reply.

    Args:
        task: The call.
        attempts: As for `after_problem`.
        losses: How often that happened to this call.
        is_cut: Whether a worker has given back a part of this chunk.
    """
    if is_cut and not task.options.at_most_once:
        return lambda: _lost_with_chunk(task)
    if task.options.at_most_once:
        return lambda: task_lost(task, attempts, _MAY_HAVE_RUN)
    if losses < MOST_LOSSES:
        return None
    return lambda: task_lost(
        task,
        attempts,
        f"That happened {losses} times: see whether a program empties Redis (FLUSHALL), whether it "
        f"keeps its data when it "
        f"restarts (appendonly yes), and whether workers are killed.",
    )


def after_miss(task: Task, misses: int, *, is_cut: bool) -> MakeError | None:
    """Decide on a call whose function or value a worker did not find, though the client sent it.

    Args:
        task: The call.
        misses: How often that happened to this call.
        is_cut: Whether a worker has given back a part of this chunk.
    """
    if is_cut:
        return lambda: _lost_with_chunk(task)
    if misses < MOST_MISSES:
        return None
    return lambda: ValueLostError(
        f"{task.function.name}: its workers do not find the function or a large value that it "
        f"needs, though it was put into their "
        f"store {misses} times. Look whether Redis drops keys because its memory is full, and "
        f"whether all workers use this store."
    )


def queue_timeout_error(
    task: Task, attempts: Sequence[Attempt], now: float, advice: str
) -> QueueTimeoutError:
    """Return the error of a call that no worker began within its `queue_timeout`.

    Args:
        task: The call, which was taken back.
        attempts: As for `begin_by`.
        now: Seconds since the epoch.
        advice: What the caller can do, for this engine.
    """
    limit = task.options.queue_timeout or 0.0
    again = " again" if attempts else ""
    return QueueTimeoutError(
        f"{described(task)}: no worker has begun it{again} within queue_timeout={limit:g} s (it "
        f"waited "
        f"{now - begin_by(task, attempts) + limit:.1f} s), so it was taken back; {advice}"
    )


# --- decisions on the calls of a map


def is_sent_one_by_one(error: BaseException, calls: int, *, is_part: bool) -> bool:
    """Whether a map sends the calls of a failed chunk again, each by itself.

    It does if a single call may have caused the chunk's error.

    Args:
        error: The chunk's error.
        calls: How many calls the chunk has.
        is_part: Whether they travelled with other calls.
    """
    return isinstance(error, WorkerLostError | SerialisationError) and (calls > 1 or is_part)


def ends_map(error: BaseException) -> bool:
    """Whether an error is the engine's own, so that later calls of the map would fail, too."""
    return isinstance(error, SystemFailureError) and not isinstance(
        error, WorkerLostError | TaskLostError
    )


def result_of_lost(
    task: Task, error: BaseException, so_far: Sequence[Any], calls: int
) -> ChunkResult | None:
    """Return the result of a lost chunk whose calls must not be sent again.

    None means that the future fails with the error.

    Args:
        task: The chunk, or one call.
        error: The error that ends it.
        so_far: Outcomes of its first calls that have arrived.
        calls: How many calls its future stands for.
    """
    if not (task.chunk and task.options.at_most_once):
        return None
    # If the future failed, the map would send the calls again. So each call gets an outcome here.
    return ChunkResult([*so_far, *[Failure(error)] * (calls - len(so_far))])


def _lost_with_chunk(task: Task) -> WorkerLostError:
    """Return the error of a divided chunk; the map then sends the rest of it again."""
    return WorkerLostError(f"{task.function.name}: the worker that ran it is gone")
