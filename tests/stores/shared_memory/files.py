"""Files in shared memory, and the store that a worker sees."""

from pathlib import Path

from distribute_challenge.owned_folder import NAME
from distribute_challenge.stores import SharedMemoryStore
from distribute_challenge.stores.shared_memory import SPARE

DATA = memoryview(bytes(range(256)) * 8192)


def attached(store: SharedMemoryStore) -> SharedMemoryStore:
    worker = SharedMemoryStore.attach(store.path)
    assert worker is not None
    return worker


def values(store: SharedMemoryStore) -> list[str]:
    """The names of the values, and of files that are being written."""
    return [path.name for path in _files(store.path)]


def values_below(root: Path) -> list[Path]:
    """The files of the values of all clients."""
    return [path for folder in root.glob("distribute_challenge-*") for path in _files(folder)]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name not in (NAME, SPARE))
