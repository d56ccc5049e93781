"""Runs Python functions on many cores and many machines.

Write ``@compute_this()`` above the function, and ``.compute()`` behind the call.
"""

# Files at this level are what users touch, and the ground (errors, settings, log, version,
# owned_folder). All other files are in a room:
#
#     cli  benchmarking         commands
#     joblib                    the joblib backend
#     dask                      computes Dask's graphs
#     reporting                 report: a page on what a program ran
#     mapreduce                 map_reduce: pairs by key, over all workers
#     executor                  Executor, the interface of concurrent.futures
#     (this level)              compute_this, Distributable, map, put, attach, LocalCluster
#     queues                    Queue, the interface of the module queue, and its consumers
#     graph                     calls that feed calls
#     execution_backends        the engines: celery (client, broker, worker), pools, local;
#                               what becomes of lost calls
#     cluster                   the embedded cluster's processes
#     execution                 the worker's end of a call: the only place where user code runs
#     serialisation             functions, arguments, results and exceptions to bytes and back
#     stores                    where large values lie
#     security                  secrets and signatures
#     core                      what a call is at each stage: options, messages, futures, outcomes
#
# Imports point down. docs/contributing.md says where to look for what; tests/test_layers.py checks
# the imports.

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distribute_challenge.core.futures import Future
    from distribute_challenge.core.log_lines import LogLine
    from distribute_challenge.core.timeline import Timeline
    from distribute_challenge.decorator import compute_this
    from distribute_challenge.detached import attach
    from distribute_challenge.distributable import Distributable
    from distribute_challenge.execution_backends import (
        ExecutionBackend,
        available_backends,
        default_backend,
        set_default_backend,
        use_backend,
    )
    from distribute_challenge.executor import Executor
    from distribute_challenge.function import DistributableFunction
    from distribute_challenge.local_cluster import LocalCluster
    from distribute_challenge.mapreduce import map_reduce
    from distribute_challenge.queues import Consumers, Queue
    from distribute_challenge.reporting.report import report
    from distribute_challenge.shared import Shared, put
    from distribute_challenge.version import __version__ as __version__
    from distribute_challenge.waiting import as_completed, gather, progress, wait

__all__ = [
    "Consumers",
    "Distributable",
    "DistributableFunction",
    "ExecutionBackend",
    "Executor",
    "Future",
    "LocalCluster",
    "LogLine",
    "Queue",
    "Shared",
    "Timeline",
    "as_completed",
    "attach",
    "available_backends",
    "compute_this",
    "default_backend",
    "gather",
    "map_reduce",
    "progress",
    "put",
    "report",
    "set_default_backend",
    "use_backend",
    "wait",
]

# The module of each name. It is imported when the name is first used, so that to import the package
# costs nothing.
_PLACES = {
    "__version__": "version",
    "Consumers": "queues",
    "Distributable": "distributable",
    "DistributableFunction": "function",
    "ExecutionBackend": "execution_backends.base",
    "Executor": "executor",
    "Future": "core.futures",
    "LocalCluster": "local_cluster",
    "LogLine": "core.log_lines",
    "Queue": "queues",
    "Shared": "shared",
    "Timeline": "core.timeline",
    "as_completed": "waiting",
    "attach": "detached",
    "gather": "waiting",
    "map_reduce": "mapreduce",
    "progress": "waiting",
    "wait": "waiting",
    "available_backends": "execution_backends.registry",
    "compute_this": "decorator",
    "default_backend": "execution_backends.registry",
    "put": "shared",
    "report": "reporting.report",
    "set_default_backend": "execution_backends.registry",
    "use_backend": "execution_backends.registry",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _PLACES:
        value = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
        globals()[name] = value
        return value
    try:
        # Submodules, too: `distribute_challenge.execution_backends` needs no import of its own.
        return import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
