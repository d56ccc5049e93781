"""Engines on this machine alone: a pool of threads, a pool of processes."""

from distribute_challenge.execution_backends.pools.processes import ProcessesExecutionBackend
from distribute_challenge.execution_backends.pools.threads import ThreadsExecutionBackend

__all__ = ["ProcessesExecutionBackend", "ThreadsExecutionBackend"]
