"""The worker's end: runs the tasks of one piece."""

from collections.abc import Callable, Sequence
from typing import Any

from distribute_challenge.core.outcome import add_note
from distribute_challenge.dask.task_spec import GraphNode, Key, Task, TaskRef

__all__ = ["Portable", "runner"]

#: A node on the way: ``(key, number, args, kwargs, references)`` for a task whose function, by
#: number, is the runner's, and whose arguments at ``references`` are keys of values. It is made of
#: built-in types, which are pickled fast. ``(key, node)`` for any other node.
Portable = tuple[Any, ...]


def runner(name: str, functions: tuple[Callable[..., Any], ...]) -> Callable[..., Any]:
    """Return the function whose calls run pieces.

    Args:
        name: Name of the calls.
        functions: The functions that tasks name by number.
    """

    def run(nodes: Sequence[Portable], inputs: dict[Key, Any]) -> Any:
        return run_nodes([_loaded(functions, *node) for node in nodes], inputs)

    # Not `__qualname__`: by that, picklers see that it is no function of this module.
    run.__name__ = name
    return run


def run_nodes(nodes: Sequence[tuple[Key, GraphNode]], values: dict[Key, Any]) -> Any:
    """Run nodes in order, and return the value of the last one.

    A value is dropped after the last node that uses it.

    Args:
        nodes: The nodes, by key.
        values: The values that the nodes need, by key; it is emptied.
    """
    last_use = {
        need: number for number, (_, node) in enumerate(nodes) for need in node.dependencies
    }
    value = None
    for number, (key, node) in enumerate(nodes):
        # Not all values: a task compares the names of those that it gets with those that it needs.
        arguments = {need: values[need] for need in node.dependencies}
        for need in arguments:
            if last_use[need] == number:
                del values[need]
        try:
            value = values[key] = node(arguments)
        except Exception as error:
            add_note(error, f"in the Dask task {key!r}")
            raise
    return value


def _loaded(
    functions: Sequence[Callable[..., Any]], key: Key, node: Any, *arguments: Any
) -> tuple[Key, GraphNode]:
    if not arguments:
        return key, node
    args, kwargs, references = arguments
    if references:
        args = list(args)
        for place in references:
            args[place] = TaskRef(args[place])
    return key, Task(key, functions[node], *args, **kwargs)
