"""The worker's end: runs the tasks of one piece."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from distribute_challenge.core.outcome import add_note
from distribute_challenge.dask.task_spec import GraphNode, Key, Task

__all__ = ["Portable", "runner"]


class Portable(NamedTuple):
    """A task on the way, whose function travels apart from it, once for many tasks.

    Args:
        key: The key of the task.
        function: Number of its function among those of the runner.
        args: Positional arguments of the task.
        kwargs: Keyword arguments.
    """

    key: Key
    function: int
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def runner(name: str, functions: tuple[Callable[..., Any], ...]) -> Callable[..., Any]:
    """Return the function whose calls run pieces.

    Args:
        name: Name of the calls.
        functions: The functions that `Portable` tasks name by number.
    """

    def run(nodes: Sequence[GraphNode | Portable], inputs: dict[Key, Any]) -> Any:
        return run_nodes(functions, nodes, inputs)

    # Not `__qualname__`: by that, picklers see that it is no function of this module.
    run.__name__ = name
    return run


def run_nodes(
    functions: Sequence[Callable[..., Any]],
    nodes: Sequence[GraphNode | Portable],
    values: dict[Key, Any],
) -> Any:
    """Run nodes in order, and return the value of the last one.

    A value is dropped after the last node that uses it.

    Args:
        functions: As for `runner`.
        nodes: The nodes.
        values: What the nodes need of other pieces, by key; it is emptied.
    """
    tasks = [
        Task(node.key, functions[node.function], *node.args, **node.kwargs)
        if isinstance(node, Portable)
        else node
        for node in nodes
    ]
    last_use = {key: number for number, task in enumerate(tasks) for key in task.dependencies}
    value = None
    for number, task in enumerate(tasks):
        # Not all values: a task compares the names of those that it gets with those that it needs.
        arguments = {key: values[key] for key in task.dependencies}
        for key in arguments:
            if last_use[key] == number:
                del values[key]
        try:
            value = values[task.key] = task(arguments)
        except Exception as error:
            add_note(error, f"in the Dask task {task.key!r}")
            raise
    return value
