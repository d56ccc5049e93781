"""The stores of large values, which do not travel inside messages, and the client's depot."""

from distribute_challenge.stores.base import Buffer, Reference, Store
from distribute_challenge.stores.cache import ValueCache
from distribute_challenge.stores.depot import Depot
from distribute_challenge.stores.fsspec import FsspecStore
from distribute_challenge.stores.opening import open_store
from distribute_challenge.stores.record import Hold
from distribute_challenge.stores.redis import RedisStore
from distribute_challenge.stores.shared_memory import SharedMemoryStore, shared_memory_identity

__all__ = [
    "Buffer",
    "Depot",
    "FsspecStore",
    "Hold",
    "RedisStore",
    "Reference",
    "SharedMemoryStore",
    "Store",
    "ValueCache",
    "open_store",
    "shared_memory_identity",
]
