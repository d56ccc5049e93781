"""What the engines of this one machine share: a task as a frame, and replies as a resolved future."""

import os
import socket
import threading
import time
from collections.abc import Iterable
from functools import cache
from typing import Any

from distribute_challenge.futures import Future
from distribute_challenge.messages import Batch, Problem, Reply, Task
from distribute_challenge.outcome import Failure
from distribute_challenge.sections import outcomes_of

__all__ = ["process_name", "settle", "task_frame"]


def task_frame(task: Task) -> bytes:
    """The batch that holds just this task."""
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
        stages = task.created, sent, reply.started, reply.finishes[-1], time.time(), reply.worker
        outcomes = outcomes_of(reply)
        if task.chunk:
            future.resolve(outcomes, stages)
        elif type(outcomes[0]) is Failure:
            future.fail(outcomes[0].error, stages)
        else:
            future.resolve(outcomes[0], stages)
    return None


def process_name(kind: str) -> str:
    """Name of this process (and thread, unless it is the main one) for timelines: ``kind@host/pid``."""
    thread = threading.current_thread()
    suffix = "" if thread is threading.main_thread() else f"/{thread.name}"
    return f"{kind}@{_host()}/{os.getpid()}{suffix}"


@cache
def _host() -> str:
    return socket.gethostname()
