"""Numbers with three digits and a unit, for reprs, tables, pages and pictures."""

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

NOTHING = "-"  # Stands for what was not measured.

SECOND_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
MEMORY_UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def rate(value: float) -> str:
    """Write calls per second, or another number, with at least three digits.

    Examples:
        >>> rate(1.9755), rate(19.64), rate(30123.4), rate(0.0)
        ('1.98', '19.6', '30,123', '0')
    """
    return "0" if value == 0 else f"{value:,.{_decimals(value)}f}"


def amount(number: float, noun: str) -> str:
    """Write a number with its noun.

    Examples:
        >>> amount(1, "worker"), amount(1500, "call")
        ('1 worker', '1,500 calls')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def percent(share: float | None) -> str:
    """Write a share in percent, if there is one; nearly all is not rounded to 100 %.

    Examples:
        >>> percent(0.982), percent(0.996), percent(1.0), percent(None)
        ('98 %', '99.6 %', '100 %', '-')
    """
    return NOTHING if share is None else f"{100 * share:.{1 if 0.99 <= share < 0.9995 else 0}f} %"


def seconds(value: float | None) -> str:
    """Write a duration, in the unit that fits.

    Examples:
        >>> seconds(1.0123), seconds(-0.0123), seconds(0.0000123), seconds(None)
        ('1.01 s', '-12.3 ms', '12.3 µs', '-')
    """
    if value is None:
        return NOTHING
    if value < 0:  # Two clocks that differ.
        return f"-{seconds(-value)}"
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
    """Write a number of bytes, in units of powers of a thousand.

    Examples:
        >>> memory(512_300_000), memory(1_500_000_000), memory(0)
        ('512 MB', '1.50 GB', '0 kB')
    """
    scale, unit = fitting(size, MEMORY_UNITS)
    return f"{rate(size / scale)} {unit}"


def in_natural_order(names: Iterable[str]) -> list[str]:
    """Sort names so that the numbers in them count as numbers.

    Examples:
        >>> in_natural_order(["worker-10", "redis", "worker-2"])
        ['redis', 'worker-2', 'worker-10']
    """
    # Text has even places and numbers have odd ones, whatever the name begins with.
    return sorted(
        names,
        key=lambda name: [
            int(part) if i % 2 else part for i, part in enumerate(re.split(r"(\d+)", name))
        ],
    )


def fitting(value: float, units: Sequence[tuple[float, str]]) -> tuple[float, str]:
    """Return the largest unit in which the rounded value is at least 1, or else the smallest.

    Examples:
        >>> fitting(0.02, SECOND_UNITS)
        (0.001, 'ms')
    """
    return next((found for found in units if value >= 0.9995 * found[0]), units[-1])


def _decimals(value: float) -> int:
    """Return how many decimals make three digits, but at most two."""
    return 2 if value < 9.995 else 1 if value < 99.95 else 0
