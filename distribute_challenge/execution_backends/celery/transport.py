"""kombu's Redis transport as our workers use it: it outlasts its broker, and keeps its books without waiting for them.

A worker's main process writes each message that it takes into a book of what is in work, and strikes it out at the end.
kombu makes a new client object for each of the two, wraps the commands of each in a transaction, and waits for the answers
before it hands the message on: a third of the time that the main process takes for a call. None of it is needed. The
commands do not depend on each other (a name in the index without its message is passed over by those who look for lost
ones), they leave before the message is handed on, and what Redis has to say to them is read with the next ones.
"""

from json import dumps, loads
from queue import Empty
from time import time
from typing import Any

from kombu.transport import TRANSPORT_ALIASES
from kombu.transport.redis import QoS, Transport
from kombu.transport.virtual import QoS as VirtualQoS
from kombu.utils.encoding import bytes_to_str
from redis import RedisError

from distribute_challenge.errors import BackendError, ForgedError, VersionMismatchError
from distribute_challenge.execution_backends.celery.gate import Gate
from distribute_challenge.execution_backends.celery.lasting_channel import LastingChannel
from distribute_challenge.execution_backends.celery.line import Line
from distribute_challenge.log import logger

__all__ = ["WorkerTransport", "install"]

PIDBOX = "celery.pidbox"  # The exchange of remote control.


class _Books(QoS):  # type: ignore[misc] # kombu has hardly any types
    """What is in work, as kombu writes it down."""

    def append(self, message: Any, delivery_tag: str) -> None:
        delivery = message.delivery_info
        entry = dumps([message._raw, delivery["exchange"], delivery["routing_key"]])
        self._write(
            ("ZADD", self.unacked_index_key, time(), delivery_tag),
            ("HSET", self.unacked_key, delivery_tag, entry),
        )
        VirtualQoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        self._write(("ZREM", self.unacked_index_key, delivery_tag), ("HDEL", self.unacked_key, delivery_tag))
        VirtualQoS.ack(self, delivery_tag)

    def restore_by_tag(self, tag: Any, client: Any = None, *args: Any, **options: Any) -> None:
        self._settle()  # It looks the message up by another connection.
        with self.channel.conn_or_acquire(client) as connection:
            if self.channel.gate is not None and not self._is_message(connection.hget(self.unacked_key, tag)):
                connection.hdel(self.unacked_key, tag)
                connection.zrem(self.unacked_index_key, tag)
                return
        super().restore_by_tag(tag, client, *args, **options)

    def _is_message(self, entry: bytes | None) -> bool:
        """Whether an entry of the books is one of a worker's: kombu stumbles over others each time that it looks, and sees no more."""
        if entry is None:
            return True  # That it knows.
        try:
            envelope, exchange, queue = loads(entry)
            if exchange != "" or not isinstance(queue, str):
                raise ForgedError("its queue is none")
            self.channel.gate.batch_of(envelope)
        except (BackendError, VersionMismatchError):
            return True  # Others can read it, perhaps.
        except Exception as error:
            self.channel.gate.refusals.note("a message in the books", type(error).__name__, entry)
            return False
        return True

    def _write(self, *commands: tuple[Any, ...]) -> None:
        self._settle()
        self.channel.line().send(*commands)

    def _settle(self) -> None:
        try:
            self.channel.line().settle()
        except RedisError as error:
            # Out of memory, or cut off. What is in work goes on, but would be lost with this worker.
            logger.warning("the broker did not note down what this worker holds: %s", error)


class WorkerChannel(LastingChannel):
    """A Redis channel with one connection for all its books, and a gate before all that comes in.

    Attributes:
        gate: What to let in; one of the connection's options. None in a program that is no worker, such as Flower.
    """

    QoS = _Books
    from_transport_options = (*LastingChannel.from_transport_options, "gate")
    gate: Gate | None = None
    _line: Line | None = None
    _line_pool: Any = None

    def line(self) -> Line:
        """Where the books are kept."""
        # A channel that was cut off gets a new pool.
        if self._line is None or self._line_pool is not self.pool:
            self._close_line()
            self._line_pool = self.pool
            self._line = Line(self._create_client())
        return self._line

    def close(self) -> None:
        super().close()
        self._close_line()

    def _brpop_read(self, **options: Any) -> bool:
        if self.gate is None:
            delivered: bool = super()._brpop_read(**options)
            return delivered
        # As kombu does it, but for the gate in the place of its JSON.
        try:
            try:
                found = self.client.parse_response(self.client.connection, "BRPOP", **options)
            except self.connection_errors:
                self.client.connection.disconnect()
                raise
            if not found:
                raise Empty
            key, message = bytes_to_str(found[0]), found[1]
            queue = key.rsplit(self.sep, 1)[0]
            self._queue_cycle.rotate(queue)
            if (envelope := self.gate.admitted(message, key)) is not None:
                self.connection._deliver(envelope, queue)
            return True
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()

    def _receive_one(self, client: Any) -> bool | None:
        try:
            received: bool | None = super()._receive_one(client)
        except RecursionError as error:  # What kombu does not expect of JSON, which it parses before anybody is asked.
            if self.gate is not None:
                self.gate.refusals.note("an order", f"its form is wrong: {type(error).__name__}")
            raise Empty from None
        return received

    def _deliver_fanout_message(self, message: Any, exchange: str) -> bool:
        if self.gate is None:
            super()._deliver_fanout_message(message, exchange)
        # What workers tell each other beside that (gossip) makes them do things for which nobody's secret is asked.
        elif exchange == PIDBOX and (envelope := self.gate.order(message)) is not None:
            super()._deliver_fanout_message(envelope, exchange)
        return True

    def _close_line(self) -> None:
        if self._line is not None:
            self._line.close()


class WorkerTransport(Transport):  # type: ignore[misc] # likewise
    """kombu's Redis transport with such channels."""

    Channel = WorkerChannel


def install() -> None:
    """Make it what kombu finds under ``redis://`` and ``rediss://``, in this process."""
    for alias in ("redis", "rediss"):
        TRANSPORT_ALIASES[alias] = f"{__name__}:{WorkerTransport.__name__}"
