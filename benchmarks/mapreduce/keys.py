"""Makes more keys than fit into the client, which reads and does not keep them."""

import operator
from collections.abc import Iterator

from benchmarks.sessions.memory import ClientMemory

__all__ = ["KEYS", "client_memory"]

KEYS = 10_000_000
AT_ONCE = 100_000  # Keys of one item.


def numbered(first: int) -> Iterator[tuple[int, int]]:
    """Return keys that no other item has."""
    return ((key, 1) for key in range(first, first + AT_ONCE))


def client_memory(system: str, workers: int, scale: float) -> float:
    """Return the memory of the client at its peak, in units of 2**20 bytes."""
    from distribute_challenge import map_reduce

    keys = max(1, round(KEYS * scale / AT_ONCE)) * AT_ONCE
    with ClientMemory() as memory:
        pairs = map_reduce(numbered, range(0, keys, AT_ONCE), fold=operator.add)
        found = sum(1 for _ in pairs)
    if found != keys:
        raise AssertionError(f"there are {found} keys, expected {keys}")
    if memory.peak is None:
        raise NotImplementedError("the kernel does not tell the peak")
    return memory.peak
