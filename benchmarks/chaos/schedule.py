"""Which fault comes when, on what and for how long: a table, or drawn from a seed."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Fault", "at_random"]

PAUSE = (
    2.0,
    8.0,
)  # Seconds from one fault's end to the next, so that it can be told which of them something is due to.


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Args:
        kind: What, as `kinds` knows it.
        at: Seconds from the start of its schedule.
        lasts: Seconds until it is undone.
        on: Which of the things of its kind, the worker with this number say; taken modulo how many
            there are.

    Examples:
        >>> print(Fault("worker killed", 2, on=1))
        worker killed at 2 s
        >>> print(Fault("redis killed", 4.5, lasts=10))
        redis killed at 4.5 s for 10 s
    """

    kind: str
    at: float
    lasts: float = 0.0
    on: int = 0

    def __str__(self) -> str:
        return f"{self.kind} at {self.at:g} s" + (f" for {self.lasts:g} s" if self.lasts else "")


def at_random(seed: int, durations: Sequence[tuple[str, tuple[float, float]]]) -> Iterator[Fault]:
    """Faults without end, one after the other; the same seed gives the same faults.

    Args:
        seed: Any number.
        durations: Each kind to draw from, with the seconds that it lasts at least and at most.

    Examples:
        >>> faults = at_random(1, [("redis killed", (1, 10)), ("worker killed", (0, 1))])
        >>> for _ in range(3):
        ...     print(next(faults))
        redis killed at 5.4 s for 8.2 s
        worker killed at 16.3 s for 0.8 s
        worker killed at 23.8 s for 0.1 s
    """
    source = random.Random(seed)
    now = 0.0
    while True:
        kind, (shortest, longest) = source.choice(durations)
        now = round(now + source.uniform(*PAUSE), 1)
        fault = Fault(
            kind, now, round(source.uniform(shortest, longest), 1), source.randrange(1000)
        )
        yield fault
        now += fault.lasts
