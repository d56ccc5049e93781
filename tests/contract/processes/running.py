"""A call that is waited for."""

from collections.abc import Callable
from typing import Any

from distribute_challenge import ExecutionBackend, compute_this

TIMEOUT = 60  # Seconds after which a test would rather fail than wait.


def run(backend: ExecutionBackend, function: Callable[..., Any], *args: Any) -> Any:
    return compute_this(function)(*args).compute(backend, timeout=TIMEOUT)
