"""Divides a Dask graph into pieces, each of which is one call.

    x ─► load ─► clean ─┐              x, load, clean ─┐
    y ─► load ─► clean ─┴► join        y, load, clean ─┴► join
    two data and five tasks            three pieces

A message costs more than most tasks, so a chain of tasks, each of which is the only user of the one
before it, is one piece. Tasks that can run at the same time are never joined. Data and aliases are
no calls: each piece that uses them has them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from distribute_challenge.core.futures import Future
from distribute_challenge.dask.persisted import persisted
from distribute_challenge.dask.task_spec import Alias, DataNode, GraphNode, Key, Task

__all__ = ["Piece", "Plan"]


class Source(NamedTuple):
    """What a key stands for, when aliases are followed.

    Args:
        key: The key of the task or data that has the value.
        aliases: The aliases on the way, by key, the last one first.
    """

    key: Key
    aliases: tuple[tuple[Key, Alias], ...] = ()


class _Step(NamedTuple):
    """What a task uses: keys of other tasks and of data, and aliases by key."""

    needs: tuple[Key, ...]
    data: tuple[Key, ...]
    aliases: tuple[tuple[Key, Alias], ...]


@dataclass(slots=True)
class Piece:
    """Tasks that run in one call, one after the other.

    A node of a graph may have another key than the one that the graph has it by, which counts.

    Args:
        key: The key of the last task, whose value is the value of the call.
        needs: Keys of pieces, and of persisted values, that the call needs.
        data: Keys of data that the call needs.
        nodes: What the call runs, in order: aliases and tasks, by key.
        tasks: Keys of the tasks among them.
    """

    key: Key
    needs: tuple[Key, ...]
    data: list[Key] = field(default_factory=list)
    nodes: list[tuple[Key, GraphNode]] = field(default_factory=list)
    tasks: list[Key] = field(default_factory=list)

    def add(self, key: Key, task: Task, step: _Step) -> None:
        self.key = key
        self.data += step.data
        self.nodes += step.aliases
        self.nodes.append((key, task))
        self.tasks.append(key)


class Plan:
    """The pieces of a graph that some keys need.

    Args:
        graph: The graph, converted to Dask's graph nodes.
        keys: The keys whose values are asked for.
        joined: Whether tasks may share a piece.

    Raises:
        KeyError: The graph lacks one of the keys.
        ValueError: The graph lacks a key that a task needs.
        RuntimeError: The graph has a cycle.

    Attributes:
        pieces: The pieces by key, in the order in which they should run: depth first, so that few
            values are kept at the same time.
        given: Futures of persisted values, by key.
        users: How many pieces use a piece, a persisted value, or data, by key; a key that is asked
            for counts as one more.
    """

    def __init__(
        self, graph: Mapping[Key, GraphNode], keys: Iterable[Key], *, joined: bool = True
    ) -> None:
        self._graph = graph
        self._places = {key: number for number, key in enumerate(graph)}
        self._sources: dict[Key, Source] = {}
        self._steps: dict[Key, _Step] = {}
        self.pieces: dict[Key, Piece] = {}
        self.given: dict[Key, Future[Any]] = {}
        self.users: dict[Key, int] = {}
        asked = {self.source(key).key for key in keys}
        order: list[Key] = []
        for key in sorted(asked, key=self._places.__getitem__):
            self._walk(key, order)
        self._count_users(asked)
        for key in order:
            self._place(key, joined=joined)

    def places(self) -> dict[Key, int]:
        """Return the place of each task in the order in which they should run."""
        tasks = (key for piece in self.pieces.values() for key in piece.tasks)
        return {key: number for number, key in enumerate(tasks)}

    def source(self, key: Key) -> Source:
        """Return what a key stands for.

        Raises:
            KeyError: The graph has no such key.
            RuntimeError: Aliases lead back to the first one.
        """
        known = self._sources.get(key)
        if known is not None:
            return known
        aliases: list[tuple[Key, Alias]] = []
        current = key
        while isinstance(node := self._graph[current], Alias):
            aliases.append((current, node))
            if len(aliases) > len(self._graph):
                raise _cycle(key)
            current = node.target
        source = self._sources[key] = Source(current, tuple(reversed(aliases)))
        return source

    def value(self, key: Key) -> Any:
        """Return the value of data."""
        return self._graph[key]()

    def _walk(self, root: Key, order: list[Key]) -> None:
        """Append to the order what a key needs, and the key; a loop, as chains may be long."""
        waiting, is_open = [(root, False)], set()
        while waiting:
            key, is_over = waiting.pop()
            if is_over:
                is_open.discard(key)
                order.append(key)
            elif key in is_open:
                raise _cycle(key)
            elif key not in self._steps and self._is_task(key):
                step = self._steps[key] = self._step(key)
                is_open.add(key)
                waiting.append((key, True))
                waiting += [(need, False) for need in reversed(step.needs)]

    def _is_task(self, key: Key) -> bool:
        """Whether a key has to be computed; notes the future of a persisted value."""
        if key in self.given:
            return False
        node = self._graph[key]
        future = persisted(node)
        if future is not None:
            self.given[key] = future
        return future is None and isinstance(node, Task)

    def _step(self, key: Key) -> _Step:
        task = self._graph[key]
        assert isinstance(task, Task)
        sources = []
        for name in task.dependencies:
            try:
                sources.append(self.source(name))
            except KeyError as error:
                raise ValueError(
                    f"the task {key!r} needs {error.args[0]!r}, which is not in the graph"
                ) from None
        needs: dict[Key, None] = {}
        data: dict[Key, None] = {}
        for source in sources:
            node = self._graph[source.key]
            is_data = isinstance(node, DataNode) and persisted(node) is None
            (data if is_data else needs)[source.key] = None
        # A set of strings has another order in each process.
        in_order = sorted(needs, key=self._places.__getitem__)
        aliases = tuple(alias for source in sources for alias in source.aliases)
        return _Step(tuple(in_order), tuple(data), aliases)

    def _count_users(self, asked: set[Key]) -> None:
        users = self.users
        for key in asked:
            users[key] = 1
        for step in self._steps.values():
            for key in (*step.needs, *step.data):
                users[key] = users.get(key, 0) + 1

    def _place(self, key: Key, *, joined: bool) -> None:
        """Put a task into the piece of the one task that it needs, or into a piece of its own."""
        step, piece = self._steps[key], None
        if joined and len(step.needs) == 1 and self.users[step.needs[0]] == 1:
            piece = self.pieces.pop(step.needs[0], None)
        if piece is None:
            piece = Piece(key, step.needs)
        piece.add(key, self._graph[key], step)
        self.pieces[key] = piece


def _cycle(key: Key) -> RuntimeError:
    return RuntimeError(f"Cycle detected in Dask: {key!r} needs its own value")
