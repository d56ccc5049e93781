"""The seam."""

import pickle
from typing import Any

import pytest

from distribute_challenge import ExecutionBackend, Future, compute_this
from distribute_challenge.core.messages import Task
from distribute_challenge.execution_backends.local import LocalExecutionBackend


class OnlySubmit(ExecutionBackend):
    closed = False

    def submit(self, task: Task) -> Future[Any]:
        return LocalExecutionBackend().submit(task)

    def close(self) -> None:
        self.closed = True


@compute_this
def add(x: int, y: int = 1) -> int:
    return x + y


def test_a_backend_needs_submit_alone() -> None:
    """All else has a default."""
    with OnlySubmit() as backend:
        assert add(1).compute(backend) == 2
        assert backend.run(pickle.dumps(pow), (2, 3), {}) == 8
        assert backend.concurrency == 0
    assert backend.closed


def test_a_backend_without_submit_cannot_be_made() -> None:
    """It could do nothing."""
    with pytest.raises(TypeError, match="submit"):
        ExecutionBackend()  # type: ignore[abstract]


def test_a_backend_without_resources_can_be_closed() -> None:
    """Most backends own nothing."""
    LocalExecutionBackend().close()
