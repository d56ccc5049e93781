"""The clock of a cluster, which is the clock of its Redis.

Clocks of different machines disagree, sometimes by hours. So all times that clients and workers
send one another are times of the one clock that all of them can read. They read it when they
connect, and then about once a second; no message waits for that. In between, they add the seconds
of this machine's own clock.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

from distribute_challenge.core import clock

if TYPE_CHECKING:
    from distribute_challenge.execution_backends.celery.broker.connection import Broker

__all__ = ["ClusterClock", "clock_of"]

FRESH = 60.0  # Seconds for which `ask_if_old` uses an answer.


class ClusterClock:
    """Shows the time of Redis' clock, as far as this process knows it.

    It shows this machine's time until it is set by `ask`. Safe for threads.

    Examples:
        >>> abs(ClusterClock().now() - clock.now()) < 1
        True
    """

    def __init__(self) -> None:
        self._offset = clock.now() - clock.uptime()
        self._asked: float | None = None

    def now(self) -> float:
        """Return the time in seconds since the epoch."""
        return clock.uptime() + self._offset

    def ask(self, connection: "Broker") -> float:
        """Ask Redis for its time, set this clock by the answer, and return the answer.

        Raises:
            redis.RedisError: Redis does not answer, or refuses.
        """
        asked = clock.uptime()
        seconds, microseconds = connection.time()
        answered = clock.uptime()
        shown = float(seconds + microseconds / 1e6)
        # Redis has read its clock at some moment between question and answer.
        self._offset, self._asked = shown - (asked + answered) / 2, answered
        return shown

    def ask_if_old(self, connection: "Broker") -> float:
        """Return the time in seconds since the epoch; ask Redis if its last answer is old.

        An answer is old after `FRESH` seconds.

        Raises:
            redis.RedisError: Redis does not answer, or refuses.
        """
        if self._asked is None or clock.uptime() - self._asked > FRESH:
            self.ask(connection)
        return self.now()


@lru_cache(maxsize=64)  # A guess: few processes use more clusters than that at a time.
def clock_of(url: str) -> ClusterClock:
    """Return the clock of the cluster at a URL; all connections of this process there share it."""
    return ClusterClock()
