"""Where large arguments lie, and what happens when there is no room."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import redis

from distribute_challenge import compute_this, put, settings, stores
from distribute_challenge.core.messages import Reply
from distribute_challenge.errors import (
    BrokerUnreachableError,
    SerialisationError,
    StoreFullError,
)
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker import connection as connection_module
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.client import client as client_module
from distribute_challenge.execution_backends.celery.client import values as client_values
from distribute_challenge.stores import SharedMemoryStore, shared_memory_identity
from tests.execution_backends.celery.conftest import DEADLINE, FakeWorker, Server, Taken
from tests.execution_backends.celery.large_values.helpers import ARRAY, Place, double, show, total

Eventually = Callable[[Callable[[], bool]], None]


@pytest.mark.slow
@pytest.mark.usefixtures("sees")
def test_a_large_argument_is_stored_once_in_shared_memory_if_workers_see_it(
    backend: CeleryExecutionBackend, worker: FakeWorker, place: Place, eventually: Eventually
) -> None:
    """It lies there once for all calls, keeps messages small, and goes when all are done."""
    futures = [total(ARRAY, ARRAY).submit(backend) for _ in range(5)]
    assert (len(place.memory), place.redis) == (1, [])
    frames: list[bytes] = []

    def answer(taken: Taken) -> None:
        frames.append(taken.frame)
        taken.run()

    worker.serve(futures, answer)
    assert {future.result() for future in futures} == {2 * ARRAY.sum()}
    assert max(map(len, frames)) < 6000
    eventually(lambda: place.is_empty)


@pytest.mark.parametrize("memories", [[], ["another machine's"]])
def test_a_large_argument_is_stored_in_redis_for_workers_without_shared_memory(
    memories: list[str],
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    place: Place,
    eventually: Eventually,
) -> None:
    """It lies there, too, while the client does not know which memory the workers see."""
    show(worker, *memories)
    future = total(ARRAY).submit(backend)
    assert (place.memory, len(place.redis)) == ([], 1)
    worker.serve([future])
    assert future.result() == ARRAY.sum()
    eventually(lambda: place.is_empty)


def test_a_large_argument_is_stored_in_both_places_for_workers_of_both_kinds(
    backend: CeleryExecutionBackend, worker: FakeWorker, place: Place, eventually: Eventually
) -> None:
    show(worker, "another machine's", shared_memory_identity())
    future = total(ARRAY).submit(backend)
    assert (len(place.memory), len(place.redis)) == (1, 1)
    worker.serve([future])
    eventually(lambda: place.is_empty)


def test_the_places_for_large_arguments_follow_workers_that_join_later(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    eventually: Eventually,
) -> None:
    monkeypatch.setattr(client_module, "LONGEST_WAIT", 0.05)
    futures = [total(ARRAY).submit(backend)]
    show(worker, shared_memory_identity())
    eventually(lambda: backend.concurrency == 1)
    futures.append(total(ARRAY + 1).submit(backend))
    assert (len(place.memory), len(place.redis)) == (1, 1)
    worker.serve(futures)


def test_a_store_named_by_the_variable_is_used_instead_of_redis(
    server: Server,
    worker: FakeWorker,
    place: Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    eventually: Eventually,
) -> None:
    """The user sets only the variable."""
    pytest.importorskip("fsspec")
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_STORE", f"file://{tmp_path}/store")
    with CeleryExecutionBackend(server.url) as backend:
        future = total(ARRAY).submit(backend)
        assert place.is_empty
        assert len(list((tmp_path / "store").glob("distribute_challenge-*/*"))) == 1
        worker.serve([future])
        assert future.result() == ARRAY.sum()
    assert not list((tmp_path / "store").iterdir())


@pytest.mark.slow
def test_without_shared_memory_all_goes_through_redis(
    server: Server, worker: FakeWorker, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distribute_challenge.settings.shared_folder", lambda: None)
    with CeleryExecutionBackend(server.url) as backend:
        future = double(ARRAY).submit(backend)
        assert len(place.redis) == 1
        taken = worker.take()
        taken.run()
        assert numpy.array_equal(future.result(DEADLINE), ARRAY * 2)
        taken.run()  # A broker may deliver twice.
        future = double(ARRAY).submit(backend)
        worker.serve([future])


def test_without_a_shared_memory_folder_large_values_take_another_way(
    server: Server,
    worker: FakeWorker,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A container's may be full already; the user hears of it."""

    def full(*_: Any) -> Any:
        raise StoreFullError("not even a folder")

    monkeypatch.setattr(client_values, "SharedMemoryStore", full)
    with CeleryExecutionBackend(server.url) as backend:
        future = double(ARRAY).submit(backend)
        worker.serve([future])
        assert numpy.array_equal(future.result(), ARRAY * 2)
    assert "not even a folder" in caplog.text


@pytest.mark.usefixtures("sees")
def test_if_shared_memory_is_full_large_values_take_another_way(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    eventually: Eventually,
) -> None:
    """Arguments go through Redis, and results in their reply; the user hears of it."""

    def full(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, "no room")

    backend.depot()
    monkeypatch.setattr(SharedMemoryStore, "_make_room", full)
    future = double(ARRAY).submit(backend)
    assert (place.memory, len(place.redis)) == ([], 1)
    worker.serve([future])
    assert numpy.array_equal(future.result(), ARRAY * 2)
    assert "large values go another way" in caplog.text
    eventually(lambda: place.is_empty)


def test_a_large_value_without_room_anywhere_raises_store_full_error(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """Small calls go on, and what had room before is freed."""
    backend.depot()
    worker.connection.config_set("maxmemory", "1")
    for argument in (ARRAY, "x" * 2_000_000):
        with pytest.raises(StoreFullError, match="Redis has no room"):
            double(argument).submit(backend)
    with pytest.raises(StoreFullError, match="Redis has no room"):
        list(double.map([ARRAY], backend=backend))
    with pytest.raises(StoreFullError, match="Redis has no room"):
        put(ARRAY, backend)
    worker.connection.config_set("maxmemory", "0")
    future = double(ARRAY).submit(backend)
    worker.serve([future])
    assert numpy.array_equal(future.result(), ARRAY * 2)


@pytest.mark.usefixtures("sees")
def test_arguments_of_a_call_that_cannot_be_made_are_freed(
    backend: CeleryExecutionBackend, server: Server, place: Place, eventually: Eventually
) -> None:
    """A second argument that cannot be pickled; a function that cannot; a broker that went away."""
    import threading

    lock = threading.Lock()
    with pytest.raises(SerialisationError):
        total(ARRAY, lock).submit(backend)
    with pytest.raises(SerialisationError):
        compute_this(lambda x: lock)(ARRAY).submit(backend)
    with pytest.raises(SerialisationError):
        compute_this(lambda x: lock)(ARRAY).submit("threads")
    eventually(lambda: place.is_empty)
    server.stop()
    with pytest.raises(BrokerUnreachableError):
        total(ARRAY).compute(backend)
    eventually(lambda: not place.memory)


def test_a_broker_that_is_away_is_an_error_at_the_first_large_value(
    backend: CeleryExecutionBackend, server: Server
) -> None:
    """Other calls with a waiting caller raise the same. The pickling is not to blame."""
    backend.concurrency  # noqa: B018 - connects
    server.stop()
    for call in (double(ARRAY), double("x" * 2_000_000)):
        with pytest.raises(BrokerUnreachableError, match="no Redis answers"):
            call.submit(backend)
    with pytest.raises(BrokerUnreachableError, match="no Redis answers"):
        put(put(ARRAY, "local"), backend)


def test_a_worker_waits_for_a_broker_that_comes_back(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It does so for all that it asks. What the broker refuses is the call's error."""
    answers: list[Exception] = [redis.ConnectionError("away"), redis.ResponseError("refused")]
    get = stores.RedisStore._read

    def fail_first(*arguments: Any) -> bool:
        if answers:
            raise answers.pop(0)
        return get(*arguments)

    monkeypatch.setattr(connection_module, "RECONNECT_PAUSE", 0.01)
    monkeypatch.setattr(stores.RedisStore, "_read", staticmethod(fail_first))
    future = total(ARRAY).submit(backend)
    worker.serve([future])
    with pytest.raises(redis.ResponseError, match="refused"):
        future.result()
    assert "cannot fetch a large value, trying again: away" in caplog.text
    future = total(ARRAY).submit(backend)
    worker.serve([future])
    assert future.result() == ARRAY.sum()


def test_an_embedded_cluster_without_shared_memory_says_so_once(
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    """It says so with its first large value."""
    monkeypatch.delenv("DISTRIBUTE_CHALLENGE_SHARED_FOLDER")
    monkeypatch.setattr(settings, "SHARED_MEMORY", str(tmp_path / "nothing"))
    values = client_values.ClientValues("client", connect(server.url), own_machine=True)
    assert caplog.text == ""
    for _ in range(2):
        values.depot(list)
    assert caplog.text.count("large values go through Redis, which takes longer") == 1
    values.discard(
        Reply("b-1", "worker", 0.0)
    )  # A reply that is not waited for; there is nothing to free.
    values.close()
