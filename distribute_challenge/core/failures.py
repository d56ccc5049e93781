"""Records the failures of one batch for the engine that runs it, which may log and report them.

    execute ─► BatchRun ─► Failures ─► the engine, when the replies are sent

Nothing is recorded for calls that give a value.
"""

from typing import NamedTuple

from distribute_challenge.core.messages import Problem
from distribute_challenge.core.outcome import Failure
from distribute_challenge.core.signature import call_text

__all__ = ["Failures", "Raised", "call_of", "place_of"]


class Raised(NamedTuple):
    """One call that raised.

    Args:
        error: The exception that it raised.
        call: The call as written in source code, with its arguments shortened; the function's name
            alone if they could not be loaded.
    """

    error: BaseException
    call: str


class Failures:
    """The failures of one batch: `BatchRun` adds them, and the engine reads them.

    Args:
        most: How many of them to keep; the others are only counted.

    Attributes:
        raised: Number of calls that raised.
        kept: The first calls that raised, at most ``most``.
        cancelled: Number of calls that were stopped, or did not begin, because their client
            cancelled them.
        problem: Why the whole batch has no outcomes; None if it has.
    """

    __slots__ = ("_most", "cancelled", "kept", "problem", "raised")

    def __init__(self, most: int = 1) -> None:
        self._most = most
        self.raised = 0
        self.cancelled = 0
        self.kept: list[Raised] = []
        self.problem: Problem | None = None

    def add(self, failure: Failure, name: str) -> None:
        """Record a call that raised.

        Args:
            failure: The outcome of the call.
            name: Name of the function.
        """
        self.raised += 1
        # An error that ends the whole batch is the same object for each of its calls.
        is_new = not self.kept or self.kept[-1].error is not failure.error
        if is_new and len(self.kept) < self._most:
            self.kept.append(Raised(failure.error, call_of(failure, name) or name))


def call_of(failure: Failure, name: str) -> str:
    """Return a failed call as written in source code; empty if its arguments are not known.

    Args:
        failure: The outcome of the call.
        name: Name of the function.

    Examples:
        >>> call_of(Failure(ZeroDivisionError(), ((1, 0), {})), "divide")
        'divide(1, 0)'
    """
    return "" if failure.arguments is None else call_text(name, *failure.arguments)


def place_of(worker: str) -> str:
    """Return a text that says where a call ran; empty for the caller's own thread.

    Args:
        worker: As in a timeline: ``name@host/process``, and perhaps a thread; empty if it is not
            known.

    Examples:
        >>> place_of("embedded@vm/26012"), place_of("processes@vm/71"), place_of("threads@vm/71/pool_0"), place_of("local@vm/71")
        (', on embedded@vm, process 26012', ', in process 71', ', in thread pool_0', '')
    """
    if not worker:
        return ""
    name, _, rest = worker.partition("/")
    process, _, thread = rest.partition("/")
    match name.partition("@")[0]:
        case "local":
            return ""
        case "threads":
            return f", in thread {thread}" if thread else ""
        case "processes":
            return f", in process {process}"
    return f", on {name}, process {process}" if process else f", on {name}"
