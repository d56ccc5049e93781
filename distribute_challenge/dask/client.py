"""`Client`: keeps the values of Dask collections on the cluster, and computes without waiting."""

from functools import partial
from types import TracebackType
from typing import Any, Self

from distribute_challenge.core.folding import folded
from distribute_challenge.core.futures import Future
from distribute_challenge.dask.persisted import node_of
from distribute_challenge.dask.scheduler import get, started
from distribute_challenge.dask.task_spec import Key, base, config, is_dask_collection
from distribute_challenge.execution_backends.registry import Choice
