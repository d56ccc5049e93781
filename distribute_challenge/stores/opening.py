"""Opens a client's store on a worker, by the name that a batch carries."""

from pathlib import Path
from typing import TYPE_CHECKING

from distribute_challenge.security import Keyring
from distribute_challenge.stores.base import Store
from distribute_challenge.stores.fsspec import FsspecStore
from distribute_challenge.stores.redis import RedisStore
from distribute_challenge.stores.shared_memory import SharedMemoryStore

if TYPE_CHECKING:
    import redis

__all__ = ["open_store"]


def open_store(
    name: str, keyring: Keyring, connection: "redis.Redis | None" = None
) -> Store | None:
    """Open a client's store, on a worker.

    Args:
        name: The client's `Store.name`.
        keyring: Verifies the signatures of values.
        connection: A connection to the broker.

    Returns:
        The store, or None if this process cannot reach it.

    Raises:
        BackendError: The store needs a package that is not installed here.
    """
    kind, _, rest = name.partition(":")
    if kind == "folder":
        return SharedMemoryStore.attach(Path(rest))
    if kind == "redis":
        return None if connection is None else RedisStore(connection, rest, keyring)
    return FsspecStore.attach(rest, keyring)
