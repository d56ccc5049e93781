"""The engines that run calls: `registry` finds them by name, `base` is their common interface."""

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
