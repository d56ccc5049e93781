"""Dask's callbacks (`dask.callbacks`), which its progress bar and profilers are made of."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from distribute_challenge.core.futures import Future
from distribute_challenge.dask.task_spec import Alias, GraphNode, Key, start_state_from_dask

__all__ = ["Callbacks"]


class Callbacks:
    """The callbacks of one computation, and the state that they are shown.

    They are called in the thread that computes, as Dask's own schedulers do, with a state of the
    same form.

    Args:
        callbacks: Tuples of five functions, each of which may be None, as in `dask.callbacks`.
    """

    def __init__(self, callbacks: Collection[tuple[Any, ...]]) -> None:
        self._callbacks = callbacks
        self._started: list[tuple[Any, ...]] = []
        self._graph: Mapping[Key, GraphNode] = {}
        self._asked: frozenset[Key] = frozenset()
        self._state: dict[str, Any] = {}

    def __bool__(self) -> bool:
        return bool(self._callbacks)

    @property
    def show_values(self) -> bool:
        """Whether a callback is given the value of each task."""
        return any(posttask for _, _, _, posttask, _ in self._callbacks)

    def start(self, graph: dict[Key, GraphNode]) -> None:
        """Call the ``start`` functions; they may replace nodes of the graph by values."""
        for callback in self._callbacks:
            if callback[0]:
                callback[0](graph)
            self._started.append(callback)

    def start_state(
        self,
        graph: Mapping[Key, GraphNode],
        asked: Iterable[Key],
        places: Mapping[Key, int],
        given: Mapping[Key, Future[Any]],
    ) -> None:
        """Make the state, and call the ``start_state`` functions.

        Args:
            graph: The graph.
            asked: The keys whose values are asked for.
            places: The place of each task in the order in which they should run.
            given: Futures of persisted values, by key.
        """
        if not self._callbacks:
            return
        self._graph, self._asked = graph, frozenset(asked)
        last = len(places)
        self._state = start_state_from_dask(
            graph, cache={}, sortkey=lambda key: places.get(key, last), keys=self._asked
        )
        for callback in self._callbacks:
            if callback[1]:
                callback[1](graph, self._state)
        for key in list(self._state["ready"]):
            node, value = graph[key], None
            if isinstance(node, Alias):
                value = self._state["cache"][node.target]
            elif key not in given:
                continue
            elif self.show_values:
                value = given[key].result()
            self._run(key)
            self._end(key, value, "")

    def begin(self, tasks: Iterable[Key]) -> None:
        """Note that tasks were submitted, and call the ``pretask`` functions."""
        if not self._callbacks:
            return
        for key in tasks:
            self._run(key)

    def end(self, tasks: Iterable[Key], value: Any, worker: str) -> None:
        """Note that tasks have ended, and call the ``posttask`` functions.

        Args:
            tasks: Their keys.
            value: The value of the last of them; None if no callback is shown values.
            worker: Name of the worker.
        """
        if not self._callbacks:
            return
        for key in tasks:
            self._end(key, value, worker)

    def finish(self, *, failed: bool) -> None:
        """Call the ``finish`` functions of those whose ``start`` was called."""
        for callback in self._started:
            if callback[4]:
                callback[4](self._graph, self._state, failed)

    def _run(self, key: Key) -> None:
        state = self._state
        if state["waiting"].pop(key, None) is None:
            _remove(state["ready"], key)
        state["running"].add(key)
        for callback in self._callbacks:
            if callback[2]:
                callback[2](key, self._graph, state)

    def _end(self, key: Key, value: Any, worker: str) -> None:
        """End a task, and the aliases of it, which no worker runs."""
        ended = [key]
        while ended:
            key = ended.pop()
            ready = self._note_end(key, value)
            for callback in self._callbacks:
                if callback[3]:
                    callback[3](key, value, self._graph, self._state, worker)
            for dependent in ready:
                if isinstance(self._graph[dependent], Alias):
                    self._run(dependent)
                    ended.append(dependent)

    def _note_end(self, key: Key, value: Any) -> list[Key]:
        """Change the state for a task that has ended, and return the tasks that became ready."""
        state = self._state
        state["cache"][key] = value
        ready = []
        for dependent in state["dependents"][key]:
            missing = state["waiting"].get(dependent)
            if missing is not None:  # Else it is in the same piece, and was submitted with it.
                missing.discard(key)
                if not missing:
                    del state["waiting"][dependent]
                    ready.append(dependent)
        state["ready"] += ready
        for need in state["dependencies"][key]:
            users = state["waiting_data"][need]
            users.discard(key)
            if not users and need not in self._asked:
                del state["waiting_data"][need]
                state["released"].add(need)
                state["cache"].pop(need, None)
        state["running"].remove(key)
        state["finished"].add(key)
        return ready


def _remove(ready: list[Key], key: Key) -> None:
    """Remove a key from the ready ones, the latest of which run first."""
    place = len(ready) - 1
    while ready[place] != key:
        place -= 1
    del ready[place]
