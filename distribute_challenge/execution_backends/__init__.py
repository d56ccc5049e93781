"""The engines that run calls: found by name in `registry`, alike from outside by `base`.

The author of an engine finds here all that it needs.
"""

from typing import TYPE_CHECKING

from distribute_challenge.lazy_names import lazy_names

if TYPE_CHECKING:
    from distribute_challenge.core.chunk_result import ChunkResult
    from distribute_challenge.core.futures import Future
    from distribute_challenge.core.messages import Problem, Task
    from distribute_challenge.core.outcome import Failure
    from distribute_challenge.errors import Attempt
    from distribute_challenge.execution_backends.base import ExecutionBackend
    from distribute_challenge.execution_backends.frames import lost, settle, task_frame
    from distribute_challenge.execution_backends.registry import (
        available_backends,
        default_backend,
        set_default_backend,
        use_backend,
    )
    from distribute_challenge.execution_backends.run_adapter import SupportsRun

__all__ = [
    "Attempt",
    "ChunkResult",
    "ExecutionBackend",
    "Failure",
    "Future",
    "Problem",
    "SupportsRun",
    "Task",
    "available_backends",
    "default_backend",
    "lost",
    "set_default_backend",
    "settle",
    "task_frame",
    "use_backend",
]

# Imported when they are first used: a worker needs few of them.
__getattr__ = lazy_names(
    __name__,
    {
        "ChunkResult": "distribute_challenge.core.chunk_result",
        "Future": "distribute_challenge.core.futures",
        "Problem": "distribute_challenge.core.messages",
        "Task": "distribute_challenge.core.messages",
        "Failure": "distribute_challenge.core.outcome",
        "Attempt": "distribute_challenge.errors",
        "ExecutionBackend": "distribute_challenge.execution_backends.base",
        "lost": "distribute_challenge.execution_backends.frames",
        "settle": "distribute_challenge.execution_backends.frames",
        "task_frame": "distribute_challenge.execution_backends.frames",
        "available_backends": "distribute_challenge.execution_backends.registry",
        "default_backend": "distribute_challenge.execution_backends.registry",
        "set_default_backend": "distribute_challenge.execution_backends.registry",
        "use_backend": "distribute_challenge.execution_backends.registry",
        "SupportsRun": "distribute_challenge.execution_backends.run_adapter",
    },
)
