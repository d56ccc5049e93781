"""The error texts for a lost call: which call it was, how each attempt ended, and what to do.

`policy` decides which error a call gets.
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from distribute_challenge.core.messages import Reply, Task
from distribute_challenge.core.references import Reference
from distribute_challenge.core.sizes import as_size
from distribute_challenge.errors import (
    Attempt,
    CallCancelledError,
    CallTimeoutError,
    DistributeChallengeError,
    QueueTimeoutError,
    TaskLostError,
    VersionMismatchError,
    WorkerLostError,
)
from distribute_challenge.serialisation import references_of, without_inputs

__all__ = [
    "described",
    "detached_is_late",
    "detached_is_lost",
    "detached_is_unknown",
    "error_of_detached",
    "history",
    "task_lost",
    "worker_lost",
]

MOST_TEXT = 300  # Characters of the arguments; a guess at how much is still readable.
MOST_LINES = 20  # Of a log or of a crash report.
#: In the text of a call: what another call results in, by its number.
RESULT: Final = re.compile(r"<result (\d+)>")


def described(
    task: Task,
    result: Callable[[int], str] = lambda number: "...",
    *,
    item: int | None = None,
) -> str:
    """Return the call as it might stand in a program, as in ``square(3)``, shortened.

    It never raises, whatever the arguments are. The arguments are not unpickled: if that killed the
    worker, it would kill this process, too.

    Args:
        task: The call.
        result: Returns the text for what another call results in, by the number of its stand-in.
        item: Of a chunk, the number of the call in it; None: the whole chunk is described.
    """
    return RESULT.sub(lambda found: result(int(found[1])), _with_stand_ins(task, item))


def _with_stand_ins(task: Task, item: int | None) -> str:
    from distribute_challenge.serialisation.pickle_text import (
        outline,
        value_text,
    )  # Imported here, because few clients lose a call.

    name = task.function.name
    if task.chunk > 1 and item is None:
        return f"{name}, {task.chunk} calls of a map"
    try:
        arguments = without_inputs(task.arguments)
        if large := references_of(arguments):
            return f"{name}({_large(large)})"
        value, is_whole = outline(arguments)
        if item and not is_whole:
            return f"{name}(...)"
        # If there are too many parts, `outline` returns a bare list of those that it has read.
        args, kwargs = (
            ((value[item or 0], {}) if task.chunk else value) if is_whole else (value, {})
        )
        shown = [value_text(part) for part in args]
        shown += [f"{key}={value_text(part)}" for key, part in kwargs.items()]
        shown += [] if is_whole else ["..."]
    except Exception:  # The arguments may be any bytes.
        return f"{name}(...)"
    text = ", ".join(shown)
    return f"{name}({text if len(text) <= MOST_TEXT else text[:MOST_TEXT] + '...'})"


def history(attempts: Sequence[Attempt]) -> str:
    """Return all that is known of the attempts, as lines that follow the error's first sentence."""
    lines = ["", "Attempts:"]
    for number, attempt in enumerate(attempts, 1):
        lines.append(
            f"  {number}. {_moment(attempt.ended)}, {attempt.worker or 'no worker known'}: "
            f"{attempt.reason}"
        )
        if attempt.calls > 1:
            lines[-1] += f"; one of {attempt.calls} calls in its message"
        if known := ", ".join(_facts(attempt)):
            lines.append(f"     {known}")
    last = attempts[-1].facts
    if crash := str(last.get("crash") or ""):
        lines += ["Where it crashed:", *_indented(crash.splitlines()[:MOST_LINES])]
    if log := last.get("log"):
        lines += ["Last lines of the worker's log:", *_indented(list(log)[-MOST_LINES:])]
    return "\n".join(lines)


def worker_lost(task: Task, attempts: Sequence[Attempt], advice: str) -> WorkerLostError:
    """Return the error of a call whose worker process died.

    Args:
        task: The call.
        attempts: All failed attempts; at least one.
        advice: What the caller can do.
    """
    return _worker_lost(_text(task, attempts, advice), attempts)


def _worker_lost(text: str, attempts: Sequence[Attempt]) -> WorkerLostError:
    from distribute_challenge.broken_pool import WorkerLostError  # Imported late: it says why.

    return WorkerLostError(text, attempts)


def task_lost(task: Task, attempts: Sequence[Attempt], advice: str) -> TaskLostError:
    """Return the error of a call whose message is gone. Arguments as for `worker_lost`."""
    return TaskLostError(_text(task, attempts, advice), attempts)


def _text(task: Task, attempts: Sequence[Attempt], advice: str) -> str:
    last = attempts[-1]
    memory = ", likely out of memory" if last.facts.get("out_of_memory") else ""
    return f"{described(task)}: {last.reason}{memory}. {advice}{history(attempts)}"


# --- detached calls. Scripts in Redis decide on them and act in the same step (`detached_scripts`)


def error_of_detached(name: str, reply: Reply, received: float) -> DistributeChallengeError:
    """Return the error of a detached call that has no outcome, and is not begun again.

    Args:
        name: The call's name.
        reply: The worker's reply, with a problem.
        received: When the client read it, in seconds since the epoch.
    """
    problem = reply.problem
    assert problem is not None
    if problem.kind == "lost":
        last = (Attempt(reply.worker, reply.started, received, problem.text, facts=problem.facts),)
        return _worker_lost(
            f"{name}: {problem.text}, at the last of its attempts.{history(last)}", last
        )
    if problem.kind == "function_missing":
        return TaskLostError(f"{name}: its function is gone from Redis")
    if problem.kind == "value_missing":
        return TaskLostError(
            f"{name}: its large arguments are gone from Redis, as with an eviction policy "
            f"(maxmemory-policy)"
        )
    kinds: dict[str, type[DistributeChallengeError]] = {
        "cancelled": CallCancelledError,
        "expired": QueueTimeoutError,
        "timeout": CallTimeoutError,
        "version": VersionMismatchError,
    }
    return kinds.get(problem.kind, TaskLostError)(f"{name}: {problem.text}")


def detached_is_lost(name: str) -> TaskLostError:
    """Return the error of a detached call whose message was lost at each allowed attempt."""
    return TaskLostError(f"{name} was lost on its way to a worker, as often as it may be begun")


def detached_is_late(name: str) -> QueueTimeoutError:
    """Return the error of a detached call that was taken back from its queue."""
    return QueueTimeoutError(f"no worker began {name} in time; it was taken back and has not run")


def detached_is_unknown(id: str) -> TaskLostError:  # noqa: A002 - as users know it
    """Return the error of `attach` if there is no call with this id."""
    return TaskLostError(
        f"no detached call has the id {id!r} here: its time to live is over, it was cancelled, it "
        f"was lost with Redis, it belongs to "
        f"another broker, or it was not submitted with submit(detach=True)"
    )


def _facts(attempt: Attempt) -> Iterator[str]:
    facts = attempt.facts
    if (host := facts.get("host")) is not None:
        yield f"host {host}"
    if (pid := facts.get("pid")) is not None:
        yield f"process {pid}"
    if (signal := facts.get("signal")) is not None:
        yield f"signal {signal}"
    if (code := facts.get("exit_code")) is not None:
        yield f"exit code {code}"
    if (memory := facts.get("memory")) is not None:
        limit = facts.get("limit")
        yield f"memory at the end {as_size(memory)}" + (f" of {as_size(limit)}" if limit else "")
    if facts.get("out_of_memory"):
        yield "likely out of memory"


def _large(references: Sequence[Reference]) -> str:
    size = as_size(sum(reference.size for reference in references))
    return f"arguments with large values, {size}"


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _indented(lines: Sequence[object]) -> list[str]:
    return [f"  {line}" for line in lines]
