"""Values that `Client.persist` leaves on the cluster, as nodes of a Dask graph."""

from typing import Any

from distribute_challenge.core.futures import Future
from distribute_challenge.dask.task_spec import DataNode, GraphNode, Key, Task, normalize_token

__all__ = ["node_of", "persisted", "value_of"]


def node_of(key: Key, future: Future[Any]) -> Task:
    """Return the node of a persisted value.

    It is a task, so that Dask may move it into other tasks, and other schedulers get the value.

    Args:
        key: The key.
        future: The future of the value.
    """
    return Task(key, value_of, future)


def persisted(node: GraphNode) -> Future[Any] | None:
    """Return the future of a node that stands for one; None for any other node."""
    if isinstance(node, DataNode):
        return node.value if isinstance(node.value, Future) else None
    if isinstance(node, Task) and node.func is value_of:
        future = node.args[0]
        return future if isinstance(future, Future) else None
    return None


def value_of(value: Any) -> Any:
    """Return the value of a future: in a call, the value itself has taken its place."""
    return value.result() if isinstance(value, Future) else value


def _token(future: Future[Any]) -> tuple[str, str]:
    """Return what Dask names a collection by that holds a future."""
    return "distribute_challenge.Future", future.id


normalize_token.register(Future, _token)
