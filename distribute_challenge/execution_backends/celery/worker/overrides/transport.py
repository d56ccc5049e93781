"""kombu's Redis transport for our workers: it survives lost connections, and records in `UnackedMessages`.

A worker's main process writes each message that it takes into Redis as unacknowledged, and removes
it when the message is done. For each of the two, kombu makes a new client object, wraps the
commands in a transaction, and waits for the answers before it hands the message on. That is a third
of the time that the main process takes for a call. When the connection breaks, kombu gives back all
unacknowledged messages. To find the address of the connection that it makes for that, it asks one
that is gone by then, and the ``AttributeError`` ends the worker. So the process has one record of
its own, `unacked.UnackedMessages`, which all channels use.

Seen in kombu 5.7.0 with Celery 5.7.0; `test_transport` fails once kombu does not need this.
"""

import contextlib
import weakref
from queue import Empty
from typing import Any

from celery.app.amqp import AMQP
from kombu import Connection
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport.redis import Channel, QoS, Transport
from kombu.utils.json import loads

from distribute_challenge.execution_backends.celery.broker.connection import reconnect_pause
from distribute_challenge.execution_backends.celery.worker.gate import Gate
from distribute_challenge.execution_backends.celery.worker.other_versions import PutBackError
from distribute_challenge.execution_backends.celery.worker.unacked import UnackedMessages
from distribute_challenge.execution_backends.celery.worker.unacked_entries import Envelope

__all__ = ["PatientAMQP", "WorkerTransport", "install"]

PIDBOX = "celery.pidbox"  # The exchange of remote control,
PIDBOX_REPLIES = "reply.celery.pidbox"  # and of answers to this worker's own questions.
MOST_DECLARED = 1000  # Exchanges and queues that a connection remembers as declared; a guess.


class _Books(QoS):  # type: ignore[misc] # kombu has hardly any types
    """A channel's access to the messages that the process holds, in the place of kombu's QoS.

    Attributes:
        held: The messages that the process holds.
    """

    def __init__(self, channel: Any, prefetch_count: int = 0) -> None:
        super().__init__(channel, prefetch_count)
        self._on_collect.cancel()
        self.unacked = UnackedMessages.of(channel)

    def can_consume(self) -> bool:
        # Messages taken over an earlier connection count, too. A BRPOP that is on its way may have
        # taken a message already, so its answer must be read.
        return (
            bool(self.channel._in_poll)
            or not self.prefetch_count
            or len(self.unacked) < self.prefetch_count
        )

    def append(self, message: Any, delivery_tag: str) -> None:
        self.unacked.take(delivery_tag, message._raw)

    def ack(self, delivery_tag: str) -> None:
        self.unacked.ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        if requeue:
            self.unacked.put_back([delivery_tag])
        else:
            self.unacked.ack(delivery_tag)

    def restore_unacked_once(self, stderr: Any = None) -> None:
        """Give nothing back: the messages of a channel that ends may still be running."""

    def restore_visible(self, *args: Any, **options: Any) -> None:
        """Do not look for messages that other workers have lost: `Reaper` does."""


class WorkerChannel(Channel):  # type: ignore[misc] # kombu has hardly any types
    """A Redis channel whose messages pass a gate, keep their exact bytes, and are held by `UnackedMessages`.

    Attributes:
        gate: Admits messages and commands; one of the connection's options. None in a program that is
            no worker, such as Flower.
    """

    QoS = _Books
    from_transport_options = (*Channel.from_transport_options, "gate")
    gate: Gate | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        _channels.add(self)

    @staticmethod
    def cut_all() -> None:
        """Close all connections of all channels, as they may be dead.

        A channel that needs a connection makes a new one.
        """
        for channel in list(_channels):
            channel._in_poll = None  # The answer to its BRPOP will not come.
            for pool in (channel._pool, channel._async_pool):
                if pool is not None:
                    pool.disconnect()

    def exchange_declare(
        self,
        exchange: str | None = None,
        type: str = "direct",  # noqa: A002
        durable: bool = False,
        **options: Any,
    ) -> None:
        # kombu would keep for ever each reply exchange that a question of remote control names.
        # Questions are not signed, and each may name another; a reply needs no declaration here.
        if self.gate is None or durable or type != "direct" or exchange == PIDBOX_REPLIES:
            super().exchange_declare(exchange, type, durable, **options)

    def _brpop_start(self, timeout: float | None = None) -> None:
        alone = set() if self.gate is None else self.gate.other_versions.left_alone()
        if not alone:
            super()._brpop_start(timeout)
            return
        # A timer wakes the event loop every `LOOK_FOR_DEATHS` seconds, so the pause ends in time.
        cycle = self._queue_cycle
        queues = list(cycle.items)
        cycle.update([queue for queue in queues if queue not in alone])
        try:
            super()._brpop_start(timeout)
        finally:
            cycle.update(queues)

    def _brpop_read(self, **options: Any) -> bool:
        # As in kombu, except that the gate replaces kombu's JSON, and that the envelope keeps the
        # message's bytes.
        connection = self.client.connection
        try:
            try:
                found = self.client.parse_response(connection, "BRPOP", **options)
            except self.connection_errors:
                connection.disconnect()
                raise
            if not found:
                raise Empty
            key, data = found
            queue = key.decode().rsplit(self.sep, 1)[0]
            self._queue_cycle.rotate(queue)
            try:
                content = (
                    loads(data.decode())
                    if self.gate is None
                    else self.gate.admitted(data, key.decode())
                )
            except PutBackError as unfit:
                # Held first: if Redis does not take it back now, the worker puts it back when it
                # connects anew.
                self.qos.unacked.take(unfit.tag, Envelope({}, key, data))
                self.qos.unacked.put_back([unfit.tag])
                return True
            if content is not None:
                self.connection._deliver(Envelope(content, key, data), queue)
            return True
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()

    def _receive_one(self, client: Any) -> bool | None:
        try:
            received: bool | None = super()._receive_one(client)
        # kombu parses JSON before the gate checks it, and does not expect deeply nested JSON.
        except RecursionError as error:
            if self.gate is not None:
                self.gate.refusals.note("a command", error)
            raise Empty from None
        return received

    def _deliver_fanout_message(self, message: Any, exchange: str) -> bool:
        if self.gate is None:
            super()._deliver_fanout_message(message, exchange)
        # Other broadcasts between workers (gossip) are dropped: they change what a worker does, and
        # are not signed.
        elif exchange == PIDBOX and (envelope := self.gate.command(message)) is not None:
            super()._deliver_fanout_message(envelope, exchange)
        return True

    def read_what_was_asked_for(self) -> None:
        """Read the answer to a BRPOP that is on its way: up to a second if no message comes."""
        if self._in_poll:
            with contextlib.suppress(Empty):
                self._brpop_read()


_channels: "weakref.WeakSet[WorkerChannel]" = weakref.WeakSet()


class WorkerTransport(Transport):  # type: ignore[misc] # kombu has hardly any types
    """kombu's Redis transport with `WorkerChannel` channels."""

    Channel = WorkerChannel


class _Declared(set[int]):
    """The last declarations of a connection, at most `MOST_DECLARED`.

    To declare an exchange or a queue again does no harm.
    """

    def add(self, entity: int) -> None:
        if len(self) >= MOST_DECLARED:
            self.clear()
        super().add(entity)


class _PatientConnection(Connection):  # type: ignore[misc] # kombu has hardly any types
    """A kombu connection that reconnects in equal pauses, and remembers few declarations.

    Celery's pauses grow by two seconds each time: a worker could take half a minute to notice that
    the broker is back.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.declared_entities = _Declared()

    def _ensure_connection(self, *args: Any, **options: Any) -> Any:
        pause = reconnect_pause()
        return super()._ensure_connection(
            *args, **{**options, "interval_start": pause, "interval_step": 0, "interval_max": pause}
        )


class PatientAMQP(AMQP):  # type: ignore[misc] # Celery has no types
    """Celery's AMQP object, which makes the connections of an application."""

    Connection = _PatientConnection


def install() -> None:
    """Have kombu use `WorkerTransport` for ``redis://`` and ``rediss://`` in this process."""
    for alias in ("redis", "rediss"):
        TRANSPORT_ALIASES[alias] = f"{__name__}:{WorkerTransport.__name__}"
