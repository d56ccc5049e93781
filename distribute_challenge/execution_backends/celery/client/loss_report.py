"""The words for a call that was lost: which one it was, how it ended each time, and what to do."""

import reprlib
import time
from collections.abc import Iterator, Sequence

from distribute_challenge.attempt import Attempt
from distribute_challenge.messages import Task
from distribute_challenge.references import Reference
from distribute_challenge.serialisation import references_of, unpack

__all__ = ["described", "history"]

MOST_TEXT = 300  # Characters of the arguments; a guess at what is still read.
MOST_LINES = 20  # Last lines of a log or of a crash.

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 100


def described(task: Task) -> str:
    """The call as it might stand in a program, as in ``square(3)``, shortened; never an error, whatever its arguments are."""
    name = task.function.name
    if task.chunk > 1:
        return f"{name}, {task.chunk} calls of a map"
    try:
        if large := references_of(task.arguments):
            return f"{name}({_large(large)})"
        arguments = unpack(task.arguments)
        args, kwargs = (arguments[0], {}) if task.chunk else arguments
        shown = [_repr.repr(value) for value in args]
        shown += [f"{key}={_repr.repr(value)}" for key, value in kwargs.items()]
    except Exception:  # Classes of the user's are unpickled here, and their `repr` runs.
        return f"{name}(...)"
    text = ", ".join(shown)
    return f"{name}({text if len(text) <= MOST_TEXT else text[:MOST_TEXT] + '...'})"


def history(attempts: Sequence[Attempt]) -> str:
    """All that is known of the attempts: lines that follow the sentence which says that they failed."""
    lines = ["", "Attempts:"]
    for number, attempt in enumerate(attempts, 1):
        lines.append(f"  {number}. {_moment(attempt.ended)}, {attempt.worker or 'no worker known'}: {attempt.reason}")
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
        yield f"memory at the end {_size(memory)}" + (f" of {_size(limit)}" if limit else "")
    if facts.get("out_of_memory"):
        yield "likely out of memory"


def _large(references: Sequence[Reference]) -> str:
    size = _size(sum(reference.size for reference in references))
    return f"arguments with large values, {size}"


def _size(count: float) -> str:
    """A number of bytes, readable.

    Example:
        >>> _size(3_900_000_000), _size(1_500_000), _size(12)
        ('3.9 GB', '1.5 MB', '12 bytes')
    """
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count:.0f} bytes"


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _indented(lines: Sequence[object]) -> list[str]:
    return [f"  {line}" for line in lines]
