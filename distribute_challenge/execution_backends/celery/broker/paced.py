"""Connections that give a large command as much time as it needs over a slow network.

redis-py gives every command the same time, whatever its size. Over a line of two megabits a
function with a few megabytes of modules would be sent again and again, and never arrive.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import redis
from redis.connection import ConnectionPool

__all__ = ["pace"]

LARGE = 1 << 17  # Bytes; a command of at least this size gets more time.
SLOWEST = 100_000  # Bytes a second, a bit less than a megabit: the slowest network to allow for.


class _Paced:
    """Adds the time for a command's bytes to the connection's timeout for sending and for answers.

    The longer timeout lasts until the next command: any answer read before that may have waited
    behind the large command.
    """

    _is_extended = False

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        if self._is_extended:
            self._is_extended = False
            self._allow(0.0)
        pieces = [command] if isinstance(command, str | bytes) else command
        super().send_packed_command(self._paced(pieces), check_health)  # type: ignore[misc]

    def _paced(self, pieces: Iterable[Any]) -> Iterator[Any]:
        size = 0
        for piece in pieces:
            size += len(piece)
            if size >= LARGE:
                self._is_extended = True
                self._allow(size / SLOWEST)
            yield piece

    def _allow(self, more: float) -> None:
        """Set the timeout for sending and for each answer.

        Args:
            more: Seconds in addition to the connection's own timeout.
        """
        connection: Any = self
        if connection._sock is not None:
            connection._sock.settimeout(connection.socket_timeout + more)


class _Connection(_Paced, redis.Connection):
    pass


class _SSLConnection(_Paced, redis.SSLConnection):
    pass


class _UnixDomainSocketConnection(_Paced, redis.UnixDomainSocketConnection):
    pass


_PACED = {
    redis.Connection: _Connection,
    redis.SSLConnection: _SSLConnection,
    redis.UnixDomainSocketConnection: _UnixDomainSocketConnection,
}


def pace(pool: ConnectionPool) -> None:
    """Let a pool make connections of this kind from now on."""
    pool.connection_class = _PACED[pool.connection_class]
