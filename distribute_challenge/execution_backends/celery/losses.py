"""What becomes of a call whose worker process is gone."""

from distribute_challenge.errors import CallTimeoutError, DistributeChallengeError, WorkerLostError
from distribute_challenge.execution_backends.celery.calls import Call
from distribute_challenge.messages import Problem

__all__ = ["MOST_DEATHS", "verdict"]

MOST_DEATHS = 3  # Worker processes that one call may cost before it fails.


def verdict(call: Call, problem: Problem, *, alone: bool) -> DistributeChallengeError | None:
    """The error that ends a call, or None if it is to be tried again, by itself.

    Args:
        call: The call; its deaths are counted here.
        problem: What the worker said.
        alone: Whether the call was the only one of its message, so that it is known to be the one to blame.
    """
    name = call.task.function.name
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
