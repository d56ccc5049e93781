"""What becomes of a call whose worker process is gone, or does not find what the call needs."""

from distribute_challenge.errors import (
    CallCancelledError,
    CallTimeoutError,
    DistributeChallengeError,
    ValueLostError,
    WorkerLostError,
)
from distribute_challenge.execution_backends.celery.calls import Call, SentBatch
from distribute_challenge.messages import Problem

__all__ = ["MOST_DEATHS", "MOST_MISSES", "NOBODYS_FAULT", "verdict", "verdict_on_missing"]

MOST_DEATHS = 3  # Worker processes that one call may cost before it fails.
MOST_MISSES = 3  # Times that a worker may miss a value which was put where all can see it; Redis may have lost it, say.

#: Problems after which the calls of a message that are still wanted are sent again, and no death is counted: others of it were
#: cancelled.
NOBODYS_FAULT = ("cancelled", "function_missing", "value_missing")


def verdict(call: Call, problem: Problem, *, alone: bool) -> DistributeChallengeError | None:
    """The error that ends a call, or None if it is to be tried again, by itself.

    Args:
        call: The call; its deaths are counted here.
        problem: What the worker said.
        alone: Whether the call was the only one of its message, so that it is known to be the one to blame.
    """
    name = call.task.function.name
    if problem.kind == "cancelled":
        return CallCancelledError(f"{name}: {problem.text}")
    if call.task.chunk > 1:
        return WorkerLostError(f"{name}: {problem.text}")  # The map finds out which call it was.
    if not alone:
        return None
    if problem.kind == "timeout":
        return CallTimeoutError(f"{name} ran longer than timeout={call.task.options.timeout:g} s; {problem.text}")
    call.deaths += 1
    if call.deaths < MOST_DEATHS:
        return None
    return WorkerLostError(
        f"{name}: {problem.text}, {call.deaths} times in {call.deaths} attempts. Look for a crash in C code, os._exit, "
        f"or too little memory on the worker."
    )


def verdict_on_missing(call: Call, batch: SentBatch) -> DistributeChallengeError | None:
    """The error that ends a call whose value a worker did not find, or None if it is to be sent again.

    Args:
        call: The call; its misses are counted here.
        batch: What it was sent with.
    """
    if batch.is_cut:
        # The worker that ran it is gone. The map sends it again, by itself.
        return WorkerLostError(f"{call.task.function.name}: the worker that ran it is gone")
    call.misses += 1
    if call.misses < MOST_MISSES:
        return None
    return ValueLostError(
        f"{call.task.function.name}: its workers do not find a large value that it needs, though it was put into their store "
        f"{call.misses} times. Look whether Redis drops keys because its memory is full, and whether all workers use this store."
    )
