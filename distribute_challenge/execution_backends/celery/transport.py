"""kombu's Redis transport as our workers use it: it outlasts its broker, and keeps its books with less ado.

A worker's main process writes each message that it takes into a book of what is in work, and strikes it out at the end.
kombu makes a new client object for each of the two, and wraps the two commands of each in a transaction: a quarter of the
time that the main process takes for a call. Neither is needed. One client serves, and the commands, sent in one piece,
do not depend on each other: a name in the index without its message is passed over by those who look for lost ones.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kombu.transport import TRANSPORT_ALIASES
from kombu.transport.redis import QoS, Transport

from distribute_challenge.execution_backends.celery.lasting_channel import LastingChannel

__all__ = ["WorkerTransport", "install"]


class _Books(QoS):  # type: ignore[misc] # kombu has hardly any types
    """What is in work, written down without transactions."""

    @contextmanager
    def pipe_or_acquire(self, pipe: Any = None, client: Any = None) -> Iterator[Any]:
        if pipe:
            yield pipe
        else:
            with self.channel.conn_or_acquire(client) as connected:
                yield connected.pipeline(transaction=False)


class WorkerChannel(LastingChannel):
    """A Redis channel with one client for all its books."""

    QoS = _Books
    _books_client: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:
            return super()._create_client(asynchronous=True)
        # A channel that was cut off gets a new pool.
        if self._books_client is None or self._books_client.connection_pool is not self.pool:
            self._books_client = super()._create_client()
        return self._books_client


class WorkerTransport(Transport):  # type: ignore[misc] # likewise
    """kombu's Redis transport with such channels."""

    Channel = WorkerChannel


def install() -> None:
    """Make it what kombu finds under ``redis://`` and ``rediss://``, in this process."""
    for alias in ("redis", "rediss"):
        TRANSPORT_ALIASES[alias] = f"{__name__}:{WorkerTransport.__name__}"
