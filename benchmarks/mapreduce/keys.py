"""Makes many keys, which the client reads and does not keep."""

import operator
import time
from collections.abc import Iterator

from benchmarks.sessions.memory import ClientMemory

__all__ = ["KEYS", "SOME_KEYS", "client_memory", "client_time", "client_time_sorted"]

KEYS = 10_000_000  # More than fit into the client.
SOME_KEYS = 1_000_000
AT_ONCE = 100_000  # Keys of one item.


def numbered(first: int) -> Iterator[tuple[int, int]]:
    """Return keys that no other item has."""
    return ((key, 1) for key in range(first, first + AT_ONCE))


def client_memory(system: str, workers: int, scale: float) -> float:
    """Return the memory of the client at its peak, in units of 2**20 bytes."""
    with ClientMemory() as memory:
        _read(round(KEYS * scale), is_sorted=False)
    if memory.peak is None:
        raise NotImplementedError("the kernel does not tell the peak")
    return memory.peak


def client_time(system: str, workers: int, scale: float) -> float:
    """Return the client's CPU time for each key, in seconds."""
    return _client_time(scale, is_sorted=False)


def client_time_sorted(system: str, workers: int, scale: float) -> float:
    """Return the client's CPU time for each key, in seconds, if it wants the keys in order."""
    return _client_time(scale, is_sorted=True)


def _client_time(scale: float, *, is_sorted: bool) -> float:
    _read(1, is_sorted=is_sorted)  # The cluster starts, and modules are loaded.
    before = time.process_time()
    keys = _read(round(SOME_KEYS * scale), is_sorted=is_sorted)
    return (time.process_time() - before) / keys


def _read(about: int, *, is_sorted: bool) -> int:
    """Read about so many keys, and return how many there were."""
    from distribute_challenge import map_reduce

    keys = max(1, round(about / AT_ONCE)) * AT_ONCE
    items = range(0, keys, AT_ONCE)
    pairs = map_reduce(numbered, items, fold=operator.add, sort=is_sorted)
    found = sum(1 for _ in pairs)
    if found != keys:
        raise AssertionError(f"there are {found} keys, expected {keys}")
    return keys
