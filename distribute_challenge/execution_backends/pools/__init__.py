"""The engines of this machine alone: a pool of threads, and a pool of processes."""

from distribute_challenge.execution_backends.pools.processes import ProcessesExecutionBackend
from distribute_challenge.execution_backends.pools.threads import ThreadsExecutionBackend

__all__ = ["ProcessesExecutionBackend", "ThreadsExecutionBackend"]
