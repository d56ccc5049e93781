"""Task frames, and futures resolved from replies: what the engines on this machine share.

`lost` resolves the futures of tasks that got no reply.
"""

import os
import threading
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from distribute_challenge.core import clock
from distribute_challenge.core.chunk_result import ChunkResult
from distribute_challenge.core.futures import Future
from distribute_challenge.core.messages import Batch, Problem, Reply, Task
from distribute_challenge.core.outcome import Failure
from distribute_challenge.errors import Attempt
from distribute_challenge.execution_backends import policy
from distribute_challenge.serialisation.outcomes import bytes_of, decode_outcomes, note_size

__all__ = ["lost", "process_name", "settle", "task_frame", "worker_name"]


def task_frame(task: Task) -> bytes:
    """Encode the batch that holds just this task."""
    return Batch(
        id="",
        function=task.function.digest,
        name=task.function.name,
        arguments=[task.arguments],
        chunk=task.chunk,
        timeout=task.options.timeout,
        retries=task.options.retries,
    ).encode()


def settle(future: Future[Any], task: Task, sent: float, frames: Iterable[bytes]) -> Problem | None:
    """Resolve a task's future from the replies to its frame.

    Returns:
        The problem, if there is one in place of outcomes; the future is then untouched.
    """
    for reply in map(Reply.decode, frames):
        if reply.problem is not None:
            return reply.problem
        stages = task.created, sent, reply.started, reply.finishes[-1], clock.now(), reply.worker
        outcomes = decode_outcomes(reply)
        note_size(future, reply.sections)
        if task.chunk:
            future.resolve(ChunkResult(outcomes, size=bytes_of(reply.sections)), stages)
        elif type(outcomes[0]) is Failure:
            future.fail(outcomes[0].error, stages)
        else:
            future.resolve(outcomes[0], stages)
    return None


def lost(
    future: Future[Any], task: Task, attempts: Sequence[Attempt], problem: Problem, *, allowed: int
) -> bool:
    """End the future of a task without outcome, or leave it to begin again, as the policy says.

    Args:
        future: The task's future; it is left alone if it is done, which means it was cancelled.
        task: The task.
        attempts: All failed attempts, with the latest as the last one.
        problem: What happened: of kind ``"lost"`` if the process died, or ``"timeout"`` if it was
            killed because of its time limit.
        allowed: How often a call may be begun in all (`settings.attempts`).

    Returns:
        Whether the engine has to begin it again.
    """
    if future.done():
        return False
    make_error = policy.after_problem(task, attempts, problem, allowed=allowed, calls=task.calls)
    if make_error is None:
        return True
    error = make_error()
    result = policy.result_of_lost(task, error, (), task.calls)
    if result is None:
        future.fail(error)
    else:
        future.resolve(result)
    return False


def process_name(kind: str) -> str:
    """Return the name of this process for timelines: ``kind@host/pid``.

    The name of the thread is added, unless it is the main thread.
    """
    thread = threading.current_thread()
    suffix = "" if thread is threading.main_thread() else f"/{thread.name}"
    return f"{worker_name(kind, os.getpid())}{suffix}"


def worker_name(kind: str, pid: int) -> str:
    """Return the name of a process of this machine: ``kind@host/pid``."""
    return f"{kind}@{_host()}/{pid}"


@cache
def _host() -> str:
    import socket  # Imported late, as a program may use it for nothing else.

    return socket.gethostname()
