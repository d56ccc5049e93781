"""The graphs that this process has submitted, and those that have just ended.

    Submission, a Dask computation ──► running_graphs ◄── the client's heartbeat

A graph is here from its first call until all its results are there. It costs some microseconds for
each result, and nothing is recorded as its calls run: the client counts those that have not ended
when a dashboard asks.
"""

import os
import weakref
from collections import deque
from collections.abc import Iterator
from itertools import count
from typing import Any, Final

from distribute_challenge.core import clock
from distribute_challenge.core.futures import Future
from distribute_challenge.core.running_maps import MOST_ENDED

__all__ = ["RunningGraph", "ended_graphs_of", "graphs_of"]

MOST_NAMES: Final = 3  # Functions that the name of a graph lists.


class RunningGraph:
    """Calls that were submitted together, because some of them need others.

    Args:
        name: Name of the first function.
        engine: The engine of that function; its ``sender`` is known once it has sent a call.

    Attributes:
        number: A number of its own.
        calls: Number of its calls so far.
        unsent: How many of them the engine does not have yet, if the code that submits them knows.
        out: How many of them the engine has, if the code that submits them counts their ends.
        results: How many of them have a future that the program knows.
        failed: How many of these have failed.
        cancelled: How many of these were cancelled.
        began: When it was made, in seconds of the monotonic clock.
        ended: When its last result came, by the same clock; None: it goes on.

    Guarantees: one thread submits the calls. Any threads may end them: single steps of sets and
    dictionaries are atomic.
    """

    __slots__ = (
        "_engine",
        "_is_complete",
        "_names",
        "_open",
        "began",
        "calls",
        "cancelled",
        "ended",
        "failed",
        "number",
        "out",
        "results",
        "unsent",
    )

    def __init__(self, name: str, engine: Any) -> None:
        self.number = next(_numbers)
        self.calls = self.unsent = self.out = 0
        self.results = self.failed = self.cancelled = 0
        self.began = clock.monotonic()
        self.ended: float | None = None
        self._names: dict[str, None] = {name: None}
        self._engine = weakref.ref(engine)
        self._open: set[int] = set()  # The `id` of each future, which lives until it is done.
        self._is_complete = False
        _graphs[self.number] = self

    @property
    def name(self) -> str:
        """The names of the functions whose results the program gets."""
        names = list(self._names)
        return ", ".join(names[:MOST_NAMES]) + (", ..." if names[MOST_NAMES:] else "")

    def is_of(self, sender: object) -> bool:
        """Whether its calls go through this sender."""
        engine = self._engine()
        return engine is not None and engine.sender is sender

    def add_result(self, future: Future[Any]) -> None:
        """Add a future that the program gets."""
        if not self.results:
            self._names.clear()
        self._names[future.name] = None
        self.results += 1
        self._open.add(id(future))
        future.when_done(self._result_ended)

    def complete(self) -> None:
        """Note that no further calls come."""
        self._is_complete = True
        self._end_if_over()

    def _result_ended(self, future: Future[Any]) -> None:
        if future.cancelled():
            self.cancelled += 1
        elif not future.has_value():
            self.failed += 1
        self._open.discard(id(future))
        self._end_if_over()

    def _end_if_over(self) -> None:
        # Two threads may get here together: one of them finds it.
        if self._is_complete and not self._open and _graphs.pop(self.number, None) is not None:
            self.ended = clock.monotonic()
            if self.results:  # Else an error has prevented it.
                _ended.append(self)


_graphs: Final[dict[int, RunningGraph]] = {}
_ended: Final[deque[RunningGraph]] = deque(maxlen=MOST_ENDED)
_numbers: Final = count(1)


def graphs_of(sender: object) -> Iterator[RunningGraph]:
    """Yield the graphs whose calls go through a sender.

    Args:
        sender: As in `ExecutionBackend.sender`.
    """
    return (graph for graph in list(_graphs.values()) if graph.is_of(sender))


def ended_graphs_of(sender: object) -> Iterator[RunningGraph]:
    """Yield the latest graphs that have ended, as `graphs_of` does."""
    return (graph for graph in list(_ended) if graph.is_of(sender))


# In the child of a fork, no thread would end those of the parent.
os.register_at_fork(after_in_child=_graphs.clear)
