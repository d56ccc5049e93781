"""kombu's Redis transport as our workers use it: it outlasts its broker, and keeps its books
without waiting for them.

A worker's main process writes each message that it takes into a book of what is in work, and
strikes it out at the end. kombu makes a new client object for each of the two, wraps the commands
of each in a transaction, and waits for the answers before it hands the message on: a third of the
time that the main process takes for a call. And when the connection breaks, it gives back what is
in work; for that it connects once more, to where it asks a connection that is gone by then, and the
``AttributeError`` ends the worker. So the process has a book of its own, `held.Held`, and channels
only lead there.

Seen in kombu 5.7.0 with Celery 5.7.0; `test_transport` tells when kombu does without.
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
from distribute_challenge.execution_backends.celery.worker.held import Envelope, Held
from distribute_challenge.execution_backends.celery.worker.other_versions import PutBackError

__all__ = ["PatientAMQP", "WorkerTransport", "install"]

PIDBOX = "celery.pidbox"  # The exchange of remote control,
PIDBOX_REPLIES = "reply.celery.pidbox"  # and of answers to this worker's own questions.
MOST_DECLARED = 1000  # Exchanges and queues that a connection remembers to have declared.


class _Books(QoS):  # type: ignore[misc] # kombu has hardly any types
    """What is in work, as a channel sees it.

    Attributes:
        held: The process's book.
    """

    def __init__(self, channel: Any, prefetch_count: int = 0) -> None:
        super().__init__(channel, prefetch_count)
        self._on_collect.cancel()
        self.held = Held.of(channel)

    def can_consume(self) -> bool:
        # What was taken over an earlier connection counts, too. A question that is on its way may
        # have its message already, and nobody knows of that until it is read.
        return (
            bool(self.channel._in_poll)
            or not self.prefetch_count
            or len(self.held) < self.prefetch_count
        )

    def append(self, message: Any, delivery_tag: str) -> None:
        self.held.take(delivery_tag, message._raw)

    def ack(self, delivery_tag: str) -> None:
        self.held.strike(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        if requeue:
            self.held.put_back([delivery_tag])
        else:
            self.held.strike(delivery_tag)

    def restore_unacked_once(self, stderr: Any = None) -> None:
        """Give nothing back: a channel's end says nothing about what is in work."""

    def restore_visible(self, *args: Any, **options: Any) -> None:
        """Look for nothing that others have lost: `sweeping` does."""


class WorkerChannel(Channel):  # type: ignore[misc] # likewise
    """A Redis channel that leads to the process's book, knows the bytes of each message, and has a
    gate before all that comes in.

    Attributes:
        gate: What to let in; one of the connection's options. None in a program that is no worker,
            such as Flower.
    """

    QoS = _Books
    from_transport_options = (*Channel.from_transport_options, "gate")
    gate: Gate | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        _channels.add(self)

    @staticmethod
    def cut_all() -> None:
        """Cut all connections of all channels: they are dead, or may be. Whoever needs one makes it
        anew.
        """
        for channel in list(_channels):
            channel._in_poll = None  # Nobody waits for the answer.
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
        # What a question of remote control names as its way back needs no declaration here, and
        # kombu would keep it for ever: questions are not signed, and each may name another.
        if self.gate is None or durable or type != "direct" or exchange == PIDBOX_REPLIES:
            super().exchange_declare(exchange, type, durable, **options)

    def _brpop_start(self, timeout: float | None = None) -> None:
        alone = set() if self.gate is None else self.gate.other_versions.left_alone()
        if not alone:
            super()._brpop_start(timeout)
            return
        # The looks at the children wake the event loop when the pause is over.
        cycle = self._queue_cycle
        queues = list(cycle.items)
        cycle.update([queue for queue in queues if queue not in alone])
        try:
            super()._brpop_start(timeout)
        finally:
            cycle.update(queues)

    def _brpop_read(self, **options: Any) -> bool:
        # As kombu has it, but for the gate in the place of its JSON, and for what it keeps of what
        # it has read.
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
                # By way of the book: where Redis does not take it now, it is put back when the
                # worker connects anew.
                self.qos.held.take(unfit.tag, Envelope({}, key, data))
                self.qos.held.put_back([unfit.tag])
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
        except (
            RecursionError
        ) as error:  # What kombu does not expect of JSON, which it parses before anybody is asked.
            if self.gate is not None:
                self.gate.refusals.note("an order", error)
            raise Empty from None
        return received

    def _deliver_fanout_message(self, message: Any, exchange: str) -> bool:
        if self.gate is None:
            super()._deliver_fanout_message(message, exchange)
        # What workers tell each other beside that (gossip) makes them do things for which nobody's
        # secret is asked.
        elif exchange == PIDBOX and (envelope := self.gate.order(message)) is not None:
            super()._deliver_fanout_message(envelope, exchange)
        return True

    def read_what_was_asked_for(self) -> None:
        """Wait for the answer to a question that is on its way: a second, unless there is a
        message.
        """
        if self._in_poll:
            with contextlib.suppress(Empty):
                self._brpop_read()


_channels: "weakref.WeakSet[WorkerChannel]" = weakref.WeakSet()


class WorkerTransport(Transport):  # type: ignore[misc] # likewise
    """kombu's Redis transport with such channels."""

    Channel = WorkerChannel


class _Declared(set[int]):
    """What a connection has declared, as far as it remembers; to declare something again does no
    harm.
    """

    def add(self, entity: int) -> None:
        if len(self) >= MOST_DECLARED:
            self.clear()
        super().add(entity)


class _PatientConnection(Connection):  # type: ignore[misc] # kombu has hardly any types
    """Tries to connect in equal pauses, and remembers a bounded number of declarations.

    Celery's own pauses grow by two seconds each time: back in a moment, found in half a minute.
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
    """What an application makes its connections with."""

    Connection = _PatientConnection


def install() -> None:
    """Make it what kombu finds under ``redis://`` and ``rediss://``, in this process."""
    for alias in ("redis", "rediss"):
        TRANSPORT_ALIASES[alias] = f"{__name__}:{WorkerTransport.__name__}"
