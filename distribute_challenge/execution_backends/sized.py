"""Engines of a chosen size, which executors of equal size share.

Guarantees: an engine that an executor uses stays open. Of the others, the one that was used last
does, so that the next executor of its size need not start processes; it is closed when the
interpreter ends, or when one of another size is wanted.
"""

import os
import threading
from dataclasses import dataclass

from distribute_challenge.core.interrupts import at_exit
from distribute_challenge.execution_backends.base import ExecutionBackend

__all__ = ["close_unused", "give_back", "is_shared", "lease"]


@dataclass(eq=False)
class _Shared:
    """An engine, and how many executors use it."""

    engine: ExecutionBackend
    users: int = 0


_lock = threading.RLock()
_shared: dict[tuple[type[ExecutionBackend], int], _Shared] = {}


def lease(kind: ExecutionBackend, workers: int) -> ExecutionBackend | None:
    """Return an engine with a number of workers, to be given back with `give_back`.

    Args:
        kind: An engine of the same kind.
        workers: How many calls it runs at the same time.

    Returns:
        The engine; None if the number of its workers cannot be chosen.
    """
    key = type(kind), workers
    with _lock:
        found = _shared.get(key)
        # Whether the number can be chosen depends on the environment, which may have changed.
        engine = kind.sized(workers)
        if engine is None:
            return None
        if found is None:
            found = _shared[key] = _Shared(engine)
        found.users += 1
    close_unused()
    return found.engine


def give_back(engine: ExecutionBackend) -> None:
    """Count one user less of an engine that `lease` has returned."""
    with _lock:
        for shared in _shared.values():
            if shared.engine is engine:
                shared.users -= 1
    close_unused(but=engine)


def is_shared(engine: ExecutionBackend) -> bool:
    """Whether several executors use an engine that `lease` has returned."""
    with _lock:
        return any(shared.engine is engine and shared.users > 1 for shared in _shared.values())


def close_unused(but: ExecutionBackend | None = None) -> None:
    """Close the engines that no executor uses.

    Args:
        but: The engine that stays open; None: no engine does.
    """
    with _lock:
        unused = {
            key: shared
            for key, shared in _shared.items()
            if not shared.users and shared.engine is not but
        }
        for key in unused:
            del _shared[key]
    for shared in unused.values():
        shared.engine.close()


def _end() -> None:
    with _lock:
        engines = [shared.engine for shared in _shared.values()]
        _shared.clear()
    for engine in engines:
        engine.close()


def _start_anew() -> None:
    """In the child of a fork, begin anew: the engines belong to the parent's executors."""
    global _lock
    _lock = threading.RLock()
    _shared.clear()


at_exit(_end)
os.register_at_fork(after_in_child=_start_anew)
