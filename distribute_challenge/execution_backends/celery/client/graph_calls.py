"""The unfinished calls of graphs, counted while a dashboard watches.

    unfinished calls of the client ──► the calls that wait for them ──► ... ──► the results

No list of the calls that wait for others is kept: they are found from the calls that they wait for.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

from distribute_challenge.core import clock
from distribute_challenge.core.following import Follower
from distribute_challenge.core.futures import Future
from distribute_challenge.core.running_graphs import RunningGraph
from distribute_challenge.execution_backends.celery.client.calls import Call

__all__ = ["GraphCalls"]

REST: Final = 50  # Times as long as a count took until the next one: a fiftieth of one core.


class GraphCalls:
    """Counts the unfinished calls of graphs; one thread uses it.

    Args:
        sender: The client, as the engine of its calls knows it.

    Attributes:
        held: The calls that wait for others, by name of the function and queue.
        waiting: The calls of each graph that wait here, by its number.
        out: The calls of each graph that were sent, by its number.
    """

    def __init__(self, sender: object) -> None:
        self._sender = sender
        self._next = 0.0
        self.forget()

    def forget(self) -> None:
        """Set all numbers to zero."""
        self.held: Counter[tuple[str, str]] = Counter()
        self.waiting: Counter[int] = Counter()
        self.out: Counter[int] = Counter()

    def count(self, unfinished: Callable[[], Iterable[Call]]) -> None:
        """Count once more, unless the last count took so long that it should not be repeated yet.

        Args:
            unfinished: Gives the calls of the client; some may be done.
        """
        began = clock.monotonic()
        if began >= self._next:
            self.forget()
            self._count(unfinished())
            ended = clock.monotonic()
            self._next = ended + REST * (ended - began)

    def _count(self, calls: Iterable[Call]) -> None:
        seen: set[int] = set()
        # A loop, as calls may lie a hundred thousand deep.
        ended_by: list[Future[Any]] = []
        for call in calls:
            graph = _graph_of(call)
            if graph is not None and not call.done():
                states = self.waiting if call.batch is None else self.out
                states[graph.number] += 1
            ended_by.append(call)
            while ended_by:
                for listener in ended_by.pop().listeners():
                    if not isinstance(listener, Follower) or id(listener) in seen:
                        continue
                    seen.add(id(listener))
                    task = listener.task_to_follow(self._sender)
                    if task is not None:
                        self.held[task.function.name, task.options.queue] += task.calls
                        if listener.graph is not None:
                            self.waiting[listener.graph.number] += 1
                    ended_by.append(listener)  # type: ignore[arg-type] # a future, too


def _graph_of(call: Call) -> RunningGraph | None:
    """Return the graph to which a call of the client belongs."""
    for listener in call.listeners():
        # The first call that needs it is of the same graph, unless the program knows its future.
        if isinstance(listener, Follower) and (call.task.is_inner or listener.stands_for(call)):
            return listener.graph
    return None
