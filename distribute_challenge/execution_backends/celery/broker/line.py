"""One connection to the broker, to send commands now and read their answers later.

redis-py's client sends a command and waits for its answer, and spends more time around it than
Redis takes for it. Where a call waits, several commands leave in one piece, and whoever does not
need to know their answers at once reads them the next time.
"""

from collections.abc import Sequence
from typing import Any

import redis

from distribute_challenge.core import clock

__all__ = ["Line"]

IDLE = 1.0  # Seconds without a command after which a connection is looked at before it is used.

Command = Sequence[str | bytes | float]


class Line:
    """A connection of its own. It connects when it is first used, and again when it was cut off.

    Guarantees: none for threads; one at a time may use it.

    Args:
        client: Knows where to connect; nothing else of it is used.

    Attributes:
        owed: How many answers have not been read yet.

    Examples:
        >>> from distribute_challenge import LocalCluster
        >>> from distribute_challenge.execution_backends.celery.broker.connection import connect
        >>> with LocalCluster(workers=1) as cluster:
        ...     line = Line(connect(cluster.broker_url))
        ...     line.send(("SET", "key", "value"), ("GET", "key"))
        ...     line.read(), line.read()
        (b'OK', b'value')
    """

    def __init__(self, client: redis.Redis) -> None:
        self._connection = client.connection_pool.make_connection()
        self._used = 0.0
        self.owed = 0

    def send(self, *commands: Command) -> None:
        """Send commands in one piece. Each owes an answer from then on.

        Raises:
            redis.RedisError: Redis cannot be reached, or not any more; nothing is owed then.
        """
        now = clock.monotonic()
        if now - self._used > IDLE and not self.owed:
            self._close_if_cut_off()
        self._used = now
        try:
            packed = self._connection.pack_commands(commands)  # type: ignore[no-untyped-call]
            self._connection.send_packed_command(packed, check_health=False)  # type: ignore[no-untyped-call]
        except BaseException:
            self.close()
            raise
        self.owed += len(commands)

    def read(self) -> Any:
        """The next answer, waited for as long as the connection's timeout allows.

        Raises:
            redis.ResponseError: Redis refused the command; what comes after it can be read.
            redis.RedisError: The connection broke; nothing is owed then.
        """
        try:
            # An interrupted wait leaves the connection as it is: the answer can still be read.
            answer = self._connection.read_response(disconnect_on_error=False)
        except redis.ResponseError:
            self.owed -= 1
            raise
        except redis.RedisError:
            self.close()
            raise
        self.owed -= 1
        return answer

    def readable(self, within: float) -> bool:
        """Whether there is something to read, waited for; never where nothing is owed, as after
        `close`.

        Args:
            within: Seconds.

        Raises:
            redis.RedisError: The connection broke; nothing is owed then.
        """
        try:
            # Asked of a connection that is cut, it would connect again.
            return self.owed > 0 and self._connection.can_read(within)
        except redis.RedisError:
            self.close()
            raise

    def settle(self) -> None:
        """Read what is owed.

        Raises:
            redis.ResponseError: Redis refused one of the commands, the first of which is told; all
                answers are read.
            redis.RedisError: The connection broke; nothing is owed then.
        """
        refused = None
        while self.owed:
            try:
                self.read()
            except redis.ResponseError as error:
                refused = refused or error
        if refused is not None:
            raise refused

    def _close_if_cut_off(self) -> None:
        """A server or a firewall may have cut off who was idle, and what is sent then is lost
        without an error.
        """
        try:
            if self._connection.is_connected and self._connection.can_read(0.0):
                self.close()  # It has something to say that nobody asked for.
        except redis.RedisError:
            self.close()

    def close(self) -> None:
        """Cut the connection; the next command makes a new one."""
        self._connection.disconnect()  # type: ignore[no-untyped-call]
        self.owed = 0
