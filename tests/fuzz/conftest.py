"""A Redis, and a real worker on it."""

from collections.abc import Iterator

import pytest

from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.security import Keyring
from distribute_challenge.serialisation import pickling
from tests.execution_backends.celery.conftest import Server
from tests.fuzz.gate import Bench
from tests.processes import Program
from tests.secret import SECRET
from tests.workers import start_worker


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("r")) as server:
        yield server


@pytest.fixture
def backend(server: Server) -> Iterator[CeleryExecutionBackend]:
    with CeleryExecutionBackend(server.url) as backend:
        yield backend


@pytest.fixture(scope="module")
def real_worker(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with start_worker(server.url, tmp_path_factory.mktemp("w"), processes=2) as running:
        running.wait_for("ready.")
        yield running
        running.process.terminate()
        assert running.wait() == 0


@pytest.fixture
def no_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if something is unpickled."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was unpickled")

    for name in ("pickle.loads", "pickle.load", "pickle.Unpickler"):
        monkeypatch.setattr(name, refuse)
    monkeypatch.setattr(pickling.pickle, "loads", refuse)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A bench with its own keyring, which counts from nought."""
    return Bench(Keyring(SECRET))
