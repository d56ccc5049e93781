"""Every kind of store, empty, with a worker's view of it; and a real Redis."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.stores import (
    Depot,
    FsspecStore,
    RedisStore,
    SharedMemoryStore,
    Store,
    open_store,
)
from tests.execution_backends.celery.conftest import Server
from tests.secret import KEYRING
from tests.stores.memory import MemoryStore


@pytest.fixture(autouse=True)
def root(clean_environment: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The shared memory of this test alone."""
    folder = tmp_path / "shared"
    folder.mkdir()
    clean_environment.setenv("DISTRIBUTE_CHALLENGE_SHARED_FOLDER", str(folder))
    return folder


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("r")) as server:
        yield server


@pytest.fixture
def connection(server: Server) -> Iterator[redis.Redis]:
    with connect(server.url) as connection:
        yield connection
        connection.flushall()


MAKERS: dict[str, Callable[[pytest.FixtureRequest], Store]] = {
    "folder": lambda request: SharedMemoryStore(request.getfixturevalue("root")),
    "redis": lambda request: RedisStore(request.getfixturevalue("connection"), "client", KEYRING),
    "fsspec": lambda request: FsspecStore(
        f"file://{request.getfixturevalue('tmp_path')}/shared_by_all", "client", KEYRING
    ),
}


@pytest.fixture(params=MAKERS)
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """A client's store, of each kind in turn."""
    store = MAKERS[request.param](request)
    yield store
    store.close()


@pytest.fixture
def seen(store: Store, request: pytest.FixtureRequest) -> Store:
    """The same store as a worker sees it."""
    connection = request.getfixturevalue("connection") if store.name.startswith("redis:") else None
    found = open_store(store.name, KEYRING, connection)
    assert found is not None
    return found


@pytest.fixture
def near() -> MemoryStore:
    return MemoryStore("near")


@pytest.fixture
def far() -> MemoryStore:
    return MemoryStore("far")


@pytest.fixture
def kept(near: MemoryStore, far: MemoryStore) -> Depot:
    return Depot([near, far])
