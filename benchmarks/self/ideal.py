"""Computes what perfect scheduling would give, as the ideal for calls that take time."""

import heapq
from collections.abc import Iterable

__all__ = ["ends", "makespan"]


def makespan(durations: Iterable[float], slots: int) -> float:
    """Return the seconds until the last call ends, if each free worker takes the next call at once.

    Taking a call costs nothing. A scheduler that does not know how long calls will take cannot be
    sure to do better; with another order of the calls it may do so by luck.

    Args:
        durations: Durations of the calls, in seconds, in their order.
        slots: Worker processes.

    Example:
        >>> makespan([10.0, *[0.1] * 40], 8)
        10.0
        >>> makespan([1.0] * 12, 8)
        2.0
    """
    return max(ends(durations, slots))


def ends(durations: Iterable[float], slots: int) -> list[float]:
    """Return the seconds until each call ends, scheduled as in `makespan`, in their order.

    Example:
        >>> ends([3.0, 1.0, 1.0], 2)
        [3.0, 1.0, 2.0]
    """
    free_at = [0.0] * slots
    found = []
    for duration in durations:
        end = free_at[0] + duration
        heapq.heapreplace(free_at, end)
        found.append(end)
    return found
