"""The time of a cluster: that of its Redis.

Clocks of different machines disagree, now and then by hours. So what clients and workers tell one
another of the time goes by the one clock that all of them can ask. They ask it when they connect,
and then about once a second; no message waits for that. In between, what it shows follows from this
machine's own seconds.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

from distribute_challenge.core import clock

if TYPE_CHECKING:
    from distribute_challenge.execution_backends.celery.broker.connection import Broker

__all__ = ["ClusterClock", "clock_of"]

FRESH = 60.0  # Seconds that one answer counts where no other comes by itself.


class ClusterClock:
    """What Redis' clock shows, as far as is known.

    Until it is asked it shows this machine's time. Safe for threads.

    Examples:
        >>> abs(ClusterClock().now() - clock.now()) < 1
        True
    """

    def __init__(self) -> None:
        self._offset = clock.now() - clock.uptime()
        self._asked: float | None = None

    def now(self) -> float:
        """Seconds since the epoch."""
        return clock.uptime() + self._offset

    def ask(self, connection: "Broker") -> float:
        """Ask Redis, and set it by the answer, which is returned.

        Raises:
            redis.RedisError: It does not say.
        """
        asked = clock.uptime()
        seconds, microseconds = connection.time()
        answered = clock.uptime()
        shown = float(seconds + microseconds / 1e6)
        # It was read somewhere between question and answer.
        self._offset, self._asked = shown - (asked + answered) / 2, answered
        return shown

    def ask_if_old(self, connection: "Broker") -> float:
        """Seconds since the epoch; Redis is asked if it was not for `FRESH` seconds.

        Raises:
            redis.RedisError: It does not say.
        """
        if self._asked is None or clock.uptime() - self._asked > FRESH:
            self.ask(connection)
        return self.now()


@lru_cache(
    maxsize=64
)  # A guess: a process that has had more clusters than that has left most of them.
def clock_of(url: str) -> ClusterClock:
    """The clock of the cluster at an address: one for all of this process's connections there."""
    return ClusterClock()
