"""The time, for this library's own use: what tests set the clock to is the user's matter.

freezegun, time-machine and ``mock.patch("time.time")`` change what the functions of `time` say in a
whole process. In here they would make waiting endless, and messages as old as the date that a test
is set to. These functions are out of their reach:

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

_clock = time.clock_gettime  # A name of its own, which a mock of the module's does not reach.

#: Seconds since some moment, for durations. It stands still while the machine sleeps.
monotonic: Final[Callable[[], float]] = partial(_clock, time.CLOCK_MONOTONIC)

#: The same, except that it goes on while the machine sleeps.
uptime: Final[Callable[[], float]] = partial(
    _clock, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
)

if sys.platform == "linux":
    # CLOCK_REALTIME_COARSE, which Python has no name for. It is up to four milliseconds late.
    _COARSE: Final = 5

    def wall() -> float:
        """Seconds since the epoch by this machine's clock now: only for what is compared with times
        of files or of other programs.
        """
        exact, coarse = _clock(time.CLOCK_REALTIME), _clock(_COARSE)
        return exact if -1.0 < exact - coarse < 1.0 else coarse

else:  # pragma: no cover - macOS has no second clock of that kind, and time-machine is believed there

    def wall() -> float:
        """Seconds since the epoch by this machine's clock now: only for what is compared with times
        of files or of other programs.
        """
        return _clock(time.CLOCK_REALTIME)


_began: Final = wall() - uptime()


def now() -> float:
    """Seconds since the epoch: what this machine's clock showed when this module was loaded, and
    what has passed since.

    A clock that is set while the process runs makes nothing older or younger: the limits of calls
    are differences of such times.

    Examples:
        >>> from unittest import mock
        >>> with mock.patch("time.time", lambda: 0.0):
        ...     now() > 1e9
        True
    """
    return uptime() + _began
