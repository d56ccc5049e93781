"""Clocks for the library itself, which tools that set the time in tests do not change.

freezegun, time-machine and ``mock.patch("time.time")`` change what the functions of `time` return
in the whole process. In the library they would make waits endless, and messages as old as the date
that a test sets. The functions here are out of their reach:

- freezegun replaces `time.time`, `time.monotonic` and their like, and every name in any module that
  refers to one of them. It knows nothing of `time.clock_gettime`.
- time-machine changes these functions themselves, and `time.clock_gettime` for `CLOCK_REALTIME`,
  but for no other clock.
"""

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Final

__all__ = ["monotonic", "now", "uptime", "wall"]

_clock = time.clock_gettime  # Bound here, so that a mock of `time.clock_gettime` has no effect.

#: Seconds since some moment, for durations. It stands still while the machine sleeps.
monotonic: Final[Callable[[], float]] = partial(_clock, time.CLOCK_MONOTONIC)

#: The same, except that it goes on while the machine sleeps.
uptime: Final[Callable[[], float]] = partial(
    _clock, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
)

if sys.platform == "linux":
    # CLOCK_REALTIME_COARSE, for which Python has no name. It is up to four milliseconds late.
    _COARSE: Final = 5

    def wall() -> float:
        """Return seconds since the epoch by this machine's clock.

        Use it only to compare with times of files or of other programs.
        """
        exact, coarse = _clock(time.CLOCK_REALTIME), _clock(_COARSE)
        return exact if -1.0 < exact - coarse < 1.0 else coarse

else:  # pragma: no cover - macOS has no such second clock, and there time-machine is believed

    def wall() -> float:
        """Return seconds since the epoch by this machine's clock.

        Use it only to compare with times of files or of other programs.
        """
        return _clock(time.CLOCK_REALTIME)


_began: Final = wall() - uptime()


def now() -> float:
    """Return seconds since the epoch, by a clock that is never set.

    It is the time that this machine's clock showed when this module was loaded, plus the time that
    has passed since. The limits of calls are differences of such times, so they stay right when the
    machine's clock is set while the process runs.

    Examples:
        >>> from unittest import mock
        >>> with mock.patch("time.time", lambda: 0.0):
        ...     now() > 1e9
        True
    """
    return uptime() + _began
