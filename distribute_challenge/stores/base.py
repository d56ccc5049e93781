"""What every store offers: large values, each under a key, for the life of one client.

client: put ──> the place ──> get: worker
client: renew, delete, close      (what belongs to a client that is gone goes by itself)
"""

import abc
from collections.abc import Collection
from typing import ClassVar, TypeAlias

from distribute_challenge.core.references import Reference

__all__ = ["Buffer", "Reference", "Store"]


#: What holds bytes in one piece.
Buffer: TypeAlias = bytes | bytearray | memoryview


class Store(abc.ABC):
    """A place for the large values of one client.

    The client's own store owns what is in it. A worker's opened by name (`open_store`) reads, and
    removes nothing. All methods may be called by several threads at once.

    Attributes:
        name: Text by which a worker finds the place again.
    """

    #: Whether `get` gives the store's own memory, which then stays in use for as long as somebody
    #: keeps the buffer.
    maps: ClassVar[bool] = False

    name: str

    @abc.abstractmethod
    def put(self, key: str, data: memoryview) -> None:
        """Keep a value.

        Args:
            key: Its name; of letters and digits.
            data: One row of bytes, as `pickle.PickleBuffer.raw` gives it. It may change once this
                has returned.

        Raises:
            StoreFullError: There is no room for it.
            SystemFailureError: The place does not answer, or is gone.
        """

    @abc.abstractmethod
    def get(self, key: str, size: int) -> memoryview | None:
        """A value, not to be written to; None if it is not there.

        Args:
            key: Its name.
            size: Bytes that it must have.

        Raises:
            SystemFailureError: The place does not answer.
        """

    @abc.abstractmethod
    def holds(self, key: str, size: int) -> bool:
        """Whether `get` would give the value.

        Raises:
            SystemFailureError: The place does not answer.
        """

    @abc.abstractmethod
    def delete(self, keys: Collection[str]) -> None:
        """Free values; those that are not there count as freed.

        It never raises: what cannot be removed now goes with the client, or when nobody renews it.
        """

    @abc.abstractmethod
    def renew(self, keys: Collection[str]) -> None:
        """Say that the client lives and still has these values.

        Called about once a second; it never raises.

        What is not among them, and was put long ago, may go.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Free everything of this client.

        Safe to call again; it never raises. A worker's store just lets go.
        """
