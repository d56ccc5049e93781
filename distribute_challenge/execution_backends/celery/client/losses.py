"""What becomes of a call whose worker process is gone, whose message has vanished, or which misses what it needs.

Each verdict is what makes the error that ends the call, or None if the call is to be sent again. The error is made when no lock
is held any more: its text shows the arguments, and so may run code of the user's.
"""

import time
from collections.abc import Callable

from distribute_challenge.attempt import Attempt
from distribute_challenge.errors import (
    CallCancelledError,
    CallTimeoutError,
    DistributeChallengeError,
    TaskLostError,
    ValueLostError,
    VersionMismatchError,
    WorkerLostError,
)
from distribute_challenge.execution_backends.celery.client.calls import Call, SentBatch
from distribute_challenge.execution_backends.celery.client.loss_report import described, history
from distribute_challenge.messages import LIFETIME, Problem

__all__ = [
    "HARMLESS",
    "MOST_LOSSES",
    "MOST_MISSES",
    "Verdict",
    "verdict",
    "verdict_on_missing",
    "verdict_on_vanished",
]

MOST_LOSSES = 3  # Times that the message of a call may vanish from Redis before it fails.
MOST_MISSES = 3  # Times that a worker may miss a value which was put where all can see it; Redis may have lost it, say.

Verdict = Callable[[], DistributeChallengeError]

_MAY_HAVE_RUN = (
    "It may have run, and at_most_once=True forbids to try again: see whether it has, and if not, make the call again."
)

#: Problems that say nothing about the calls of a message which are still wanted: others were cancelled, or it came too late.
HARMLESS = ("cancelled", "expired", "value_missing")


def verdict(
    call: Call, others: int, *, batch: SentBatch, problem: Problem, worker: str, attempts: int
) -> Verdict | None:
    """On a call that a worker has no outcome for.

    Args:
        call: The call; what happened is added to its attempts.
        others: How many calls of the batch had no outcome, this one among them.
        batch: What it was sent with.
        problem: What the worker said.
        worker: The worker's name.
        attempts: How often a call may be begun in all.
    """
    if problem.kind == "version":
        return lambda: VersionMismatchError(problem.text)
    options = call.task.options
    # Where others were cancelled, this one may have been running in the process that was killed for it.
    if problem.kind in HARMLESS and not (problem.kind == "cancelled" and options.at_most_once):
        return _on_harmless(call, problem)
    call.attempts += (Attempt(worker, batch.sent, time.time(), problem.text, others, problem.facts),)
    if problem.kind == "timeout" and others == 1:
        limit = options.timeout or 0.0
        return lambda: CallTimeoutError(f"{call.name} ran longer than timeout={limit:g} s; {problem.text}")
    if options.at_most_once:
        return lambda: _worker_lost(call, _MAY_HAVE_RUN)
    if call.task.chunk > 1:
        return lambda: _worker_lost(call, "Its calls are to be sent one by one.")  # The map does that.
    # Of several nobody knows which one it was: from now on each travels by itself, and one more attempt will tell.
    if others > 1 or len(call.attempts) < attempts:
        return None
    times = f"{len(call.attempts)} times in {len(call.attempts)} attempts"
    return lambda: _worker_lost(
        call, f"That happened {times}: look for a crash in C code, os._exit, or too little memory on the worker."
    )


def verdict_on_vanished(call: Call, others: int, *, batch: SentBatch) -> Verdict | None:
    """On a call whose message is gone from Redis, and no reply came.

    Args:
        call: The call; its losses are counted here.
        others: As for `verdict`.
        batch: What it was sent with.
    """
    if batch.is_cut and not call.task.options.at_most_once:
        return lambda: _gone(call)
    reason = "its message is gone from Redis: it is in no queue, no worker has it, and no reply came"
    call.attempts += (Attempt("", batch.sent, time.time(), reason, others),)
    call.losses += 1
    if call.task.options.at_most_once:
        return lambda: _task_lost(call, _MAY_HAVE_RUN)
    if call.losses < MOST_LOSSES:
        return None
    return lambda: _task_lost(
        call,
        f"That happened {call.losses} times: see whether somebody empties Redis (FLUSHALL), whether it keeps its data when it "
        f"restarts (appendonly yes), and whether workers are killed.",
    )


def verdict_on_missing(call: Call, others: int, *, batch: SentBatch) -> Verdict | None:
    """On a call whose function or value a worker did not find, though it was sent.

    Args:
        call: The call; its misses are counted here.
        others: As for `verdict`; it does not matter here.
        batch: What it was sent with.
    """
    if batch.is_cut:
        return lambda: _gone(call)
    call.misses += 1
    if call.misses < MOST_MISSES:
        return None
    return lambda: ValueLostError(
        f"{call.name}: its workers do not find the function or a large value that it needs, though it was put into their store "
        f"{call.misses} times. Look whether Redis drops keys because its memory is full, and whether all workers use this store."
    )


def _on_harmless(call: Call, problem: Problem) -> Verdict | None:
    if problem.kind == "cancelled" and call.task.chunk:
        return lambda: CallCancelledError(f"{call.name}: {problem.text}")
    now = time.time()
    ahead = problem.facts.get("now", now) - now
    if problem.kind != "expired" or abs(ahead) < LIFETIME / 2:
        return None  # It has waited that long in its queue.
    return lambda: TaskLostError(
        f"{described(call.task)}: a worker refused its message as too old, as its clock is {abs(ahead):.0f} s "
        f"{'ahead of' if ahead > 0 else 'behind'} this machine's: have both set by NTP.",
        call.attempts,
    )


def _worker_lost(call: Call, advice: str) -> WorkerLostError:
    return WorkerLostError(_text(call, advice), call.attempts)


def _task_lost(call: Call, advice: str) -> TaskLostError:
    return TaskLostError(_text(call, advice), call.attempts)


def _text(call: Call, advice: str) -> str:
    last = call.attempts[-1]
    memory = ", likely out of memory" if last.facts.get("out_of_memory") else ""
    return f"{described(call.task)}: {last.reason}{memory}. {advice}{history(call.attempts)}"


def _gone(call: Call) -> WorkerLostError:
    """Of a divided chunk, whose rest the map sends again, by itself."""
    return WorkerLostError(f"{call.name}: the worker that ran it is gone")
