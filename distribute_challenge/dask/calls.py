"""Makes the calls that run the pieces of a graph."""

from collections import Counter
from collections.abc import Callable, Mapping
from types import BuiltinFunctionType, FunctionType
from typing import Any, Final, NamedTuple

from distribute_challenge.core.options import CallOptions
from distribute_challenge.dask.piece_run import Portable, runner
from distribute_challenge.dask.pieces import Piece, Plan
from distribute_challenge.dask.task_spec import (
    GraphNode,
    Key,
    Task,
    TaskRef,
    funcname,
    key_split,
    sizeof,
)
from distribute_challenge.distributable import Distributable, Prepared
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.shared import put

__all__ = ["Calls"]

# Engines keep what they have learnt of some hundred functions.
MOST_RUNNERS: Final = 100
# Bytes: larger data that several pieces use is packed once for all of them.
LARGE: Final = 10_000
# Dask's function for a task that consists of tasks says nothing about what these do.
SUBGRAPH: Final = "_execute_subgraph"


# Functions that are always equal to themselves, and do not change.
SHARED: Final = (FunctionType, BuiltinFunctionType)

Function = Callable[..., Any]


class Runner(NamedTuple):
    """A function that runs pieces.

    Args:
        run: The function.
        prepared: The parts that all its calls share.
        functions: The functions that travel with it.
    """

    run: Function
    prepared: Prepared
    functions: tuple[Function, ...]


class Calls:
    """The calls of one graph.

    Functions of tasks travel apart from the tasks, once each, as the function of a decorated call
    does. Calls of equal functions share messages, and an engine learns how long they take.

    Args:
        plan: The pieces of the graph.
        engine: The engine that will run the calls.
        options: The options of the calls.
    """

    def __init__(self, plan: Plan, engine: ExecutionBackend, options: CallOptions) -> None:
        self._engine = engine
        self._options = options
        self._plan = plan
        self._runners: dict[tuple[str, tuple[Function, ...]], Runner] = {}
        self._data: dict[Key, Any] = {}
        uses = Counter(
            task.func
            for piece in plan.pieces.values()
            for _, task in piece.nodes
            if type(task) is Task and isinstance(task.func, SHARED)
        )
        self._shared = {function for function, count in uses.items() if count > 1}

    def call(self, piece: Piece, inputs: Mapping[Key, Any]) -> Distributable[Any]:
        """Return the call of a piece.

        Args:
            piece: The piece.
            inputs: A future or a call for each key that it needs.
        """
        used = [
            node.func
            for _, node in piece.nodes
            if type(node) is Task and isinstance(node.func, SHARED) and node.func in self._shared
        ]
        run, prepared, functions = self._runner(_name(*piece.nodes[-1]), tuple(dict.fromkeys(used)))
        numbers = {function: number for number, function in enumerate(functions)}
        nodes = [_portable(key, node, numbers) for key, node in piece.nodes]
        values = {key: self._value(key) for key in piece.data}
        return Distributable(run, (nodes, {**values, **inputs}), None, prepared)

    def _runner(self, name: str, functions: tuple[Function, ...]) -> Runner:
        known = self._runners.get((name, functions))
        if known is None:
            if len(self._runners) >= MOST_RUNNERS:
                name, functions = "task", ()
            run = runner(name, functions)
            known = Runner(run, Prepared.of(run, self._options), functions)
            known = self._runners.setdefault((name, functions), known)
        return known

    def _value(self, key: Key) -> Any:
        """Return data, or, if it is large, a handle for all pieces that use it."""
        value = self._plan.value(key)
        if self._plan.users[key] == 1:
            return value
        if key not in self._data:
            self._data[key] = put(value, self._engine) if sizeof(value) > LARGE else value
        return self._data[key]


def _portable(key: Key, node: GraphNode, numbers: Mapping[Function, int]) -> Portable:
    """Return a node as it travels to the worker."""
    if not (type(node) is Task and isinstance(node.func, SHARED) and node.func in numbers):
        return key, node
    args = node.args
    references = tuple(place for place, each in enumerate(args) if type(each) is TaskRef)
    if references:
        args = tuple(each.key if type(each) is TaskRef else each for each in args)
    return key, numbers[node.func], args, node.kwargs, references


def _name(key: Key, task: Task) -> str:
    """Return the name of the call that ends with a task."""
    name = funcname(task.func)
    return str(key_split(key) if name == SUBGRAPH else name)
