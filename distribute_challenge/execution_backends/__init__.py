"""The engines that run calls: found by name in `registry`, alike from outside by `base`."""

from distribute_challenge.execution_backends.base import ExecutionBackend, SupportsRun
from distribute_challenge.execution_backends.registry import (
    available_backends,
    default_backend,
    set_default_backend,
    use_backend,
)

__all__ = [
    "ExecutionBackend",
    "SupportsRun",
    "available_backends",
    "default_backend",
    "set_default_backend",
    "use_backend",
]
