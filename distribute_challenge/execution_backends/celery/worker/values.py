"""Reads large arguments for a child process, and stores large results for the client."""

import secrets
from collections.abc import Sequence

from distribute_challenge import settings
from distribute_challenge.errors import BrokerUnreachableError, SystemFailureError
from distribute_challenge.execution_backends.celery.broker.connection import Broker
from distribute_challenge.execution_backends.celery.worker.replying import retry_until_answered
from distribute_challenge.stores import Reference, ValueCache, open_store

__all__ = ["WorkerValues"]


class WorkerValues:
    """The large values of the calls that one child process runs; `execute` uses it.

    Args:
        connection: To the broker.
    """

    def __init__(self, connection: Broker) -> None:
        self._connection = connection
        self._keyring = connection.keyring
        self._values = ValueCache(connection, self._keyring, settings.value_cache())

    def open(self, reference: Reference, places: Sequence[str]) -> memoryview:
        def fetch() -> memoryview:
            try:
                return self._values.open(reference, places)
            except BrokerUnreachableError as error:
                raise (
                    error.__cause__ or error
                ) from None  # `retry_until_answered` only retries redis-py errors.

        return retry_until_answered("fetch a large value", fetch)

    def keep(self, buffer: memoryview, places: Sequence[str], *, stays: bool) -> Reference | None:
        # A random key, not one by content: the client takes the value over, and may get an equal
        # value again.
        reference = Reference(secrets.token_hex(16), buffer.nbytes)
        for name in places:
            # For a value that goes to the client, only shared memory saves time: any other store is
            # as far as the client.
            if not (stays or name.startswith("folder:")):
                continue
            store = open_store(name, self._keyring, self._connection)
            try:
                if store is not None:
                    store.put(reference.key, buffer)
                    return reference
            except SystemFailureError:
                pass  # No room is left, or the client is gone.
        return None
