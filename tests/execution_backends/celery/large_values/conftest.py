"""Shared memory of each test alone."""

from pathlib import Path

import pytest

from distribute_challenge.execution_backends.celery.client import values as client_values
from distribute_challenge.stores import shared_memory_identity
from tests.execution_backends.celery.conftest import FakeWorker, Server
from tests.execution_backends.celery.large_values.helpers import Place, show


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Shared memory of this test alone. Clients free unused values at once."""
    folder = tmp_path / "memory"
    folder.mkdir()
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_SHARED_FOLDER", str(folder))
    for name in "LINGER", "LINGER_FIRST":
        monkeypatch.setattr(f"distribute_challenge.stores.record.{name}", 0.0)
    monkeypatch.setattr(client_values, "LOOK_EVERY", 0.02)
    return folder


@pytest.fixture
def place(memory: Path, server: Server) -> Place:
    return Place(memory, server)


@pytest.fixture
def sees(worker: FakeWorker) -> None:
    """The worker says that it sees this machine's shared memory."""
    show(worker, shared_memory_identity())
