"""Files in shared memory, and the store that a worker sees."""

import os

from distribute_challenge.owned_folder import NAME
from distribute_challenge.stores import SharedMemoryStore

DATA = memoryview(bytes(range(256)) * 8192)


def attached(store: SharedMemoryStore) -> SharedMemoryStore:
    worker = SharedMemoryStore.attach(store.path)
    assert worker is not None
    return worker


def values(store: SharedMemoryStore) -> list[str]:
    return sorted(name for name in os.listdir(store.path) if name != NAME)
