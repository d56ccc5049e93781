"""A connection to the broker that sends commands now and reads their answers later.

redis-py's client sends a command and waits for its answer, and its own overhead is larger than the
time that Redis takes. Where a call waits, several commands are sent in one piece, and a sender that
does not need the answers at once reads them the next time.
"""

from collections.abc import Sequence
from typing import Any

import redis

from distribute_challenge.core import clock

__all__ = ["PipelinedConnection"]

LONGEST_WAIT = 86_400.0  # Seconds to wait for an answer, if the client has no limit.
IDLE = 1.0  # Seconds without a command after which a connection is checked before it is used.

Command = Sequence[str | bytes | float]


class PipelinedConnection:
    """A connection to Redis for one thread at a time.

    It connects when it is first used, and again after it was cut off.

    Guarantees: one thread at a time may use it; another one may `close` it, which ends a wait.

    Args:
        client: A client with the address; only its address and settings are used.

    Attributes:
        owed: How many answers have not been read yet.

    Examples:
        >>> from distribute_challenge import LocalCluster
        >>> from distribute_challenge.execution_backends.celery.broker.connection import connect
        >>> with LocalCluster(workers=1) as cluster:
        ...     connection = PipelinedConnection(connect(cluster.broker_url))
        ...     connection.send(("SET", "key", "value"), ("GET", "key"))
        ...     connection.read(), connection.read()
        (b'OK', b'value')
    """

    def __init__(self, client: redis.Redis) -> None:
        self._connection = client.connection_pool.make_connection()
        self._answered_within: float = (
            client.get_connection_kwargs().get("socket_timeout") or LONGEST_WAIT
        )
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
        """Return the next answer; wait for it as long as the connection's timeout allows.

        The connection survives if the wait is interrupted: the answer can still be read.

        Raises:
            redis.ResponseError: Redis refused the command; later answers can still be read.
            redis.RedisError: The connection broke; nothing is owed then.
        """
        # It takes nothing from the stream, as an interrupted wait must not.
        self.readable(self._answered_within)
        try:
            answer = self._connection.read_response(disconnect_on_error=False)
        except redis.ResponseError:
            self.owed -= 1
            raise
        except BaseException:
            # If Ctrl+C came here, bytes may have been taken from the stream, and are lost.
            self.close()
            raise
        self.owed -= 1
        return answer

    def readable(self, within: float) -> bool:
        """Wait until there is an answer to read; False if there is none in time, or none is owed.

        Args:
            within: Seconds.

        Raises:
            redis.RedisError: The connection broke; nothing is owed then.
        """
        try:
            # After `close`, `can_read` would connect again, so `owed` is checked first.
            return self.owed > 0 and self._connection.can_read(within)
        except redis.RedisError:
            self.close()
            raise
        except (AttributeError, TypeError, ValueError) as error:
            # redis-py looks for a socket that another thread has closed meanwhile.
            self.close()
            raise redis.ConnectionError("the connection was closed") from error

    def settle(self) -> None:
        """Read all answers that are owed.

        Raises:
            redis.ResponseError: Redis refused some commands; this is the first error, and all
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
        """Close a connection that a server or firewall has cut off because it was idle.

        Commands that are sent on such a connection are lost without an error.
        """
        try:
            if self._connection.is_connected and self._connection.can_read(0.0):
                self.close()  # There is data although no answer is owed, such as the stream's end.
        except redis.RedisError:
            self.close()

    def close(self) -> None:
        """Close the connection; the next command opens a new one."""
        self._connection.disconnect()  # type: ignore[no-untyped-call]
        self.owed = 0
