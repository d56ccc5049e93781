"""Checks of the arguments of `Queue`."""

from typing import Any

from distribute_challenge.core import clock
from distribute_challenge.core.schema import text
from distribute_challenge.errors import OptionError

__all__ = ["check_lease", "check_name", "checked_count", "checked_size", "deadline"]

LONGEST_NAME = 200  # Characters.
SHORTEST_LEASE = 0.5  # Seconds; a third of it is the time between two renewals.


def deadline(block: bool, timeout: float | None) -> float | None:
    """Return when to stop waiting, by `clock.monotonic`; None: never.

    Raises:
        ValueError: ``timeout`` is negative, and counts.
    """
    if not block:
        return clock.monotonic()
    if timeout is None:
        return None
    if timeout < 0:
        raise ValueError("'timeout' must be a non-negative number")
    return clock.monotonic() + timeout


def check_name(name: Any) -> None:
    """Raise `OptionError` if a queue cannot have a name."""
    if name is not None and not (text(name) and 0 < len(name) <= LONGEST_NAME):
        raise OptionError(
            f"Queue({name!r}): expected a name of 1 to {LONGEST_NAME} characters, or None; the "
            f"limit goes into maxsize, as in Queue(maxsize=10)"
        )


def checked_size(maxsize: Any) -> int:
    """Return a limit, 0 if there is none; raise `OptionError` if it is no number."""
    if not isinstance(maxsize, int) or isinstance(maxsize, bool):
        raise OptionError(f"maxsize={maxsize!r}: expected a whole number; 0 is no limit")
    return max(maxsize, 0)


def check_lease(lease: Any) -> None:
    """Raise `OptionError` if a queue cannot have a lease."""
    if lease is not None and not (
        isinstance(lease, int | float) and not isinstance(lease, bool) and lease >= SHORTEST_LEASE
    ):
        raise OptionError(f"lease={lease!r}: expected seconds, at least {SHORTEST_LEASE}, or None")


def checked_count(what: str, count: Any) -> int:
    """Return a number of items; raise `OptionError` if it is none.

    Args:
        what: What the argument is called.
        count: Its value.
    """
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise OptionError(f"{what}={count!r}: expected a whole number of at least 1")
    return count
