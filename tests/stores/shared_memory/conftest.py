"""A client's store in shared memory."""

from pathlib import Path

import pytest

from distribute_challenge.stores import SharedMemoryStore


@pytest.fixture
def store(root: Path) -> SharedMemoryStore:
    return SharedMemoryStore(root)
