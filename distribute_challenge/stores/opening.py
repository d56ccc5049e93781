"""From the name of a place, as a batch carries it, to the store on a worker."""

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
    """A client's store, as a worker sees it.

    Args:
        name: The client's `Store.name`.
        keyring: Tells whether what is there was signed.
        connection: To the broker.

    Returns:
        None if this process does not see that place.

    Raises:
        BackendError: It needs a package that is not installed here.
    """
    kind, _, rest = name.partition(":")
    if kind == "folder":
        return SharedMemoryStore.attach(Path(rest))
    if kind == "redis":
        return None if connection is None else RedisStore(connection, rest, keyring)
    return FsspecStore.attach(rest, keyring)
