"""Batches as joblib makes them."""

from collections.abc import Callable
from typing import Any

from joblib import delayed
from joblib.parallel import BatchedCalls, SequentialBackend

from distribute_challenge.joblib.batch import Batch

__all__ = ["batch_of"]


def batch_of(*functions: Callable[[], Any]) -> Batch:
    """A batch with a call of each function."""
    calls = [delayed(function)() for function in functions]
    return Batch(BatchedCalls(calls, (SequentialBackend(nesting_level=1), None)))
