"""Writes numbers with three digits and a unit, for the table, the page and the pictures."""

import re
from collections.abc import Iterable, Sequence

__all__ = [
    "MEMORY_UNITS",
    "NOTHING",
    "SECOND_UNITS",
    "amount",
    "fitting",
    "in_natural_order",
    "memory",
    "percent",
    "rate",
    "seconds",
    "seconds_together",
]

NOTHING = "-"  # What was not measured.

SECOND_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
MEMORY_UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def rate(value: float) -> str:
    """Calls per second, or another number: at least three digits.

    Examples:
        >>> rate(1.9755), rate(19.64), rate(30123.4), rate(0.0)
        ('1.98', '19.6', '30,123', '0')
    """
    return "0" if value == 0 else f"{value:,.{_decimals(value)}f}"


def amount(number: float, noun: str) -> str:
    """So many of something.

    Examples:
        >>> amount(1, "worker"), amount(1500, "call")
        ('1 worker', '1,500 calls')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def percent(share: float | None) -> str:
    """A share in percent, if there is one; what is nearly all is not called all.

    Examples:
        >>> percent(0.982), percent(0.996), percent(1.0), percent(None)
        ('98 %', '99.6 %', '100 %', '-')
    """
    return NOTHING if share is None else f"{100 * share:.{1 if 0.99 <= share < 0.9995 else 0}f} %"


def seconds(value: float | None) -> str:
    """A duration.

    Examples:
        >>> seconds(1.0123), seconds(0.0123), seconds(0.0000123), seconds(None)
        ('1.01 s', '12.3 ms', '12.3 µs', '-')
    """
    if value is None:
        return NOTHING
    scale, unit = fitting(value, SECOND_UNITS)
    return f"{value / scale:.{_decimals(value / scale)}f} {unit}"


def seconds_together(values: Iterable[float]) -> str:
    """Write several durations with two digits and one unit, that of the largest, to save room.

    Examples:
        >>> seconds_together([0.02, 1.0123]), seconds_together([0.000974, 0.0121])
        ('0.02 1.0 s', '0.97 12 ms')
    """
    found = list(values)
    scale, unit = fitting(max(found), SECOND_UNITS)
    return (
        " ".join(f"{value / scale:.{_decimals(value / scale * 10)}f}" for value in found)
        + f" {unit}"
    )


def memory(size: float) -> str:
    """Bytes, in units of a thousand.

    Examples:
        >>> memory(512_300_000), memory(1_500_000_000), memory(0)
        ('512 MB', '1.50 GB', '0 kB')
    """
    scale, unit = fitting(size, MEMORY_UNITS)
    return f"{rate(size / scale)} {unit}"


def in_natural_order(names: Iterable[str]) -> list[str]:
    """Names sorted so that the numbers in them count.

    Examples:
        >>> in_natural_order(["worker-10", "redis", "worker-2"])
        ['redis', 'worker-2', 'worker-10']
    """
    # What is between numbers has even places, whatever the name begins with.
    return sorted(
        names,
        key=lambda name: [
            int(part) if i % 2 else part for i, part in enumerate(re.split(r"(\d+)", name))
        ],
    )


def fitting(value: float, units: Sequence[tuple[float, str]]) -> tuple[float, str]:
    """The largest unit that leaves a number of at least 1, once that is rounded; else the smallest.

    Examples:
        >>> fitting(0.02, SECOND_UNITS)
        (0.001, 'ms')
    """
    return next((found for found in units if value >= 0.9995 * found[0]), units[-1])


def _decimals(value: float) -> int:
    """How many make three digits, and not more than two."""
    return 2 if value < 9.995 else 1 if value < 99.95 else 0
