"""How much does each process grow, once it is warm?"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

__all__ = ["Sample", "growth"]

WARM_UP = 0.2  # Of the calls: caches fill, the allocator finds its size.
# Of the calls, whose samples are taken together: at the beginning, behind the warm-up, and at the
# end.
SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Sample:
    """One look.

    Args:
        calls: Calls that had ended by then.
        seconds: Since the start.
        memory: Resident bytes of each process, by its name.
    """

    calls: int
    seconds: float
    memory: dict[str, int]


def growth(samples: Sequence[Sample], calls: int) -> dict[str, int]:
    """Bytes that each process has grown by since it was warm, if it was there then and is now.

    Medians, as memory goes up and down with what is on its way.

    Args:
        samples: In the order of time.
        calls: Calls in all.

    Examples:
        >>> looks = [Sample(n, n / 10, {"client": 100 + n // 10}) for n in range(0, 1001, 50)]
        >>> growth(looks, 1000)
        {'client': 60}
    """
    warm = [
        each.memory
        for each in samples
        if WARM_UP * calls <= each.calls <= (WARM_UP + SHARE) * calls
    ]
    late = [each.memory for each in samples if each.calls >= (1 - SHARE) * calls]
    found = {}
    for name in {name for memory in late for name in memory}:
        before, after = (
            [memory[name] for memory in part if name in memory] for part in (warm, late)
        )
        if before:
            found[name] = round(median(after) - median(before))
    return dict(sorted(found.items()))
