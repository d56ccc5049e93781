"""The interface of all stores, which keep the large values of one client, each under a key.

client: put ──> the store ──> get: worker         arguments
client: take_over <── the store <── put: worker   results
client: renew, delete, close      (the values of a client that is gone expire)
"""

import abc
from collections.abc import Collection
from typing import ClassVar, TypeAlias

from distribute_challenge.core.references import Reference

__all__ = ["Buffer", "Reference", "Store"]


#: An object that holds bytes in one contiguous block.
Buffer: TypeAlias = bytes | bytearray | memoryview


class Store(abc.ABC):
    """A place for the large values of one client.

    The client's own store owns its values. A worker opens a store by name (`open_store`) to read
    them and to put results, and removes nothing. All methods may be called by several threads at
    once.

    Attributes:
        name: Text by which a worker finds the store.
    """

    #: Whether `get` returns the store's own memory, which then stays in use for as long as a caller
    #: keeps the buffer.
    maps: ClassVar[bool] = False

    name: str

    @abc.abstractmethod
    def put(self, key: str, data: memoryview) -> None:
        """Keep a value.

        Args:
            key: Name of the value, of letters and digits.
            data: One row of bytes, as `pickle.PickleBuffer.raw` returns it. The caller may change
                it once this method has returned.

        Raises:
            StoreFullError: There is no room for it.
            SystemFailureError: The store does not answer, or is gone.
        """

    @abc.abstractmethod
    def get(self, key: str, size: int) -> memoryview | None:
        """Return a value, which must not be written to; None if it is not there.

        Args:
            key: Name of the value.
            size: The size that it must have, in bytes.

        Raises:
            SystemFailureError: The store does not answer.
        """

    def copy(self, key: str, size: int) -> memoryview | None:
        """Return a value as memory that only the caller has and may write to.

        Args:
            key: As for `get`.
            size: As for `get`.

        Raises:
            SystemFailureError: The store does not answer.
        """
        data = self.get(key, size)
        return None if data is None else memoryview(bytearray(data))

    def take_over(self, key: str, size: int) -> None:  # noqa: B027 - most stores keep no record
        """Make a value that a worker has put here one of this client's own.

        Args:
            key: Name of the value.
            size: Its size in bytes.
        """

    @abc.abstractmethod
    def holds(self, key: str, size: int) -> bool:
        """Whether `get` would return the value.

        Raises:
            SystemFailureError: The store does not answer.
        """

    @abc.abstractmethod
    def delete(self, keys: Collection[str]) -> None:
        """Free values; those that are not there count as freed.

        It never raises: a value that cannot be removed now is freed by `close`, or expires.
        """

    @abc.abstractmethod
    def renew(self, keys: Collection[str]) -> None:
        """Tell the store that the client lives and still has these values.

        The client calls it about once a second; it never raises. The store may free values that are
        not among them and were put long ago.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Free all values of this client.

        It may be called again, and never raises. A worker's store frees nothing.
        """
