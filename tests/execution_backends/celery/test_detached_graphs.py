"""Detached calls that need other calls."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge import LocalCluster, attach, compute_this
from distribute_challenge.errors import SerialisationError
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from tests.calls import wait_for

TIMEOUT = 60


@pytest.fixture
def backend(cluster: LocalCluster) -> Iterator[CeleryExecutionBackend]:
    with CeleryExecutionBackend(cluster.broker_url) as backend:
        yield backend


@dataclass
class Pair:
    left: Any
    right: Any


@compute_this
def add(x: Any, y: Any = 1) -> Any:
    return x + y


@compute_this
def identity(x: Any) -> Any:
    return x


@compute_this(timeout=20)
def fail(text: str) -> Any:
    raise ValueError(text)


@compute_this
def count(path: str, value: Any) -> Any:
    with open(path, "a") as file:
        file.write("x")
    return value


def test_a_detached_call_runs_together_with_the_calls_it_needs(
    backend: CeleryExecutionBackend, tmp_path: Path
) -> None:
    """A call that stands in two places runs once; a future that is done gives its value."""
    path = tmp_path / "runs"
    once, done = count(str(path), 1), add(1).submit(backend)
    assert done.result(TIMEOUT) == 2
    whole = identity([add(once, once), {"k": Pair(add(once), done)}])
    future = whole.submit(backend, detach=True)
    assert future.name == "identity"
    assert attach(future.id, backend).result(TIMEOUT) == [2, {"k": Pair(2, 2)}]
    assert path.read_text() == "x"


def test_the_error_of_a_detached_graph_has_notes_about_the_failed_input(
    backend: CeleryExecutionBackend,
) -> None:
    failed = add(fail("no luck")).submit(backend, detach=True)
    with pytest.raises(ValueError, match="no luck") as caught:
        failed.result(TIMEOUT)
    assert "add(fail('no luck')) needed fail('no luck')" in caught.value.__notes__


def test_a_detached_call_with_an_unfinished_future_as_argument_is_refused(
    backend: CeleryExecutionBackend, tmp_path: Path
) -> None:
    door = tmp_path / "door"
    waiting = wait_for(str(door)).submit("threads")
    with pytest.raises(SerialisationError, match="wait for its value, or give the call itself"):
        add(waiting).submit(backend, detach=True)
    door.touch()
    waiting.result(TIMEOUT)
