"""An engine with one worker, and what the calls on it have noted."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge import ExecutionBackend
from distribute_challenge.execution_backends.celery.client.calls import Call
from distribute_challenge.execution_backends.clusters.base import ClusterCall
from tests.calls import note
from tests.clusters import has_arrived

TIMEOUT = 60  # Seconds after which a test would rather fail than wait.
RUN_ON_SUBMIT = {"local", "only-run"}  # Nothing waits there.


class Engine:
    """One engine, with one worker."""

    def __init__(self, name: str, make: Callable[[], ExecutionBackend]) -> None:
        self.name, self.make = name, make
        self.backend = make()


def skip_if_refused(backend: ExecutionBackend, option: str) -> None:
    """Leave out the test of an option that the engine refuses, which another test sees to."""
    if option not in backend.honours:
        pytest.skip(f"refuses {option}")


def begun(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def has_left(future: Any) -> bool:
    """Whether a call has left the client, where it has to."""
    if isinstance(future, ClusterCall):
        return has_arrived(future)
    return not isinstance(future, Call) or (
        future.batch is not None and future.batch.pushed is not None
    )


def make_noting() -> Callable[[str, str], Any]:
    """Another function each time."""
    tag = os.urandom(8)
    return lambda path, name: (tag, note(path, name))
