"""A worker process's way to large values: arguments from where their client keeps them, results to
where it finds them.
"""

import secrets
from collections.abc import Sequence

from distribute_challenge import settings
from distribute_challenge.errors import BrokerUnreachableError, SystemFailureError
from distribute_challenge.execution_backends.celery.broker.connection import Broker
from distribute_challenge.execution_backends.celery.worker.replying import insist
from distribute_challenge.stores import Reference, ValueCache, open_store

__all__ = ["WorkerValues"]


class WorkerValues:
    """What `execute` asks of this engine.

    Args:
        connection: To the broker.
    """

    def __init__(self, connection: Broker) -> None:
        self._keyring = connection.keyring
        self._values = ValueCache(connection, self._keyring, settings.value_cache())

    def open(self, reference: Reference, places: Sequence[str]) -> memoryview:
        def fetch() -> memoryview:
            try:
                return self._values.open(reference, places)
            except BrokerUnreachableError as error:
                raise (error.__cause__ or error) from None  # What `insist` knows.

        return insist("fetch a large value", fetch)

    def keep(self, buffer: memoryview, places: Sequence[str]) -> Reference | None:
        # Only shared memory pays: to anywhere else it is as far as to the client.
        folders = (open_store(name, self._keyring) for name in places if name.startswith("folder:"))
        store = next(filter(None, folders), None)
        if store is None:
            return None
        # Not by its content: the client takes it out of the folder, and may get the same once more.
        reference = Reference(secrets.token_hex(16), buffer.nbytes)
        try:
            store.put(reference.key, buffer)
        except SystemFailureError:
            return None  # There is no room, or the client is gone.
        return reference
