"""`Executor`: the interface of the standard library's executors, for calls on a cluster."""

from distribute_challenge.executor.executor import Executor

__all__ = ["Executor"]
