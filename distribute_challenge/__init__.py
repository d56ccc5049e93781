"""Runs Python functions on many cores and many machines.

Write ``@compute_this()`` above the function, and ``.compute()`` behind the call.
"""

# Files at this level are what users touch, and the ground (errors, settings, log, version,
# owned_folder, lazy_names). All other files are in a room:
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

from typing import TYPE_CHECKING

from distribute_challenge.lazy_names import lazy_names

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

# Imported when they are first used.
_PLACES = {
    "__version__": "distribute_challenge.version",
    "Consumers": "distribute_challenge.queues",
    "Distributable": "distribute_challenge.distributable",
    "DistributableFunction": "distribute_challenge.function",
    "ExecutionBackend": "distribute_challenge.execution_backends.base",
    "Executor": "distribute_challenge.executor",
    "Future": "distribute_challenge.core.futures",
    "LocalCluster": "distribute_challenge.local_cluster",
    "LogLine": "distribute_challenge.core.log_lines",
    "Queue": "distribute_challenge.queues",
    "Shared": "distribute_challenge.shared",
    "Timeline": "distribute_challenge.core.timeline",
    "as_completed": "distribute_challenge.waiting",
    "attach": "distribute_challenge.detached",
    "gather": "distribute_challenge.waiting",
    "map_reduce": "distribute_challenge.mapreduce",
    "progress": "distribute_challenge.waiting",
    "wait": "distribute_challenge.waiting",
    "available_backends": "distribute_challenge.execution_backends.registry",
    "compute_this": "distribute_challenge.decorator",
    "default_backend": "distribute_challenge.execution_backends.registry",
    "put": "distribute_challenge.shared",
    "report": "distribute_challenge.reporting.report",
    "set_default_backend": "distribute_challenge.execution_backends.registry",
    "use_backend": "distribute_challenge.execution_backends.registry",
}

__getattr__ = lazy_names(__name__, _PLACES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
