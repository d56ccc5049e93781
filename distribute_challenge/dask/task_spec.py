"""The parts of Dask that this package builds on; no other file imports private ones.

Dask has no public names for the nodes of its graphs, so the extra is bounded to the releases that
the tests have run with.
"""

from typing import Final

INSTALL: Final = 'pip install "distribute-challenge[dask]"'

try:
    from dask import compute, config, is_dask_collection, persist
    from dask._task_spec import Alias, DataNode, GraphNode, Task, TaskRef, convert_legacy_graph
    from dask.callbacks import local_callbacks
    from dask.core import flatten
    from dask.local import nested_get, start_state_from_dask
    from dask.sizeof import sizeof
    from dask.tokenize import normalize_token
    from dask.typing import Key
    from dask.utils import funcname, key_split
except ImportError as error:
    raise ImportError(
        f"distribute_challenge.dask needs Dask, in a version that it knows, and there is no "
        f"{error.name}: {INSTALL}",
        name=error.name,
    ) from error

__all__ = [
    "Alias",
    "DataNode",
    "GraphNode",
    "Key",
    "Task",
    "TaskRef",
    "compute",
    "config",
    "convert_legacy_graph",
    "flatten",
    "funcname",
    "is_dask_collection",
    "key_split",
    "local_callbacks",
    "nested_get",
    "normalize_token",
    "persist",
    "sizeof",
    "start_state_from_dask",
]
