"""Where large values go that do not travel inside messages, and who keeps them for how long."""

from distribute_challenge.stores.base import Buffer, Reference, Store, as_size
from distribute_challenge.stores.depot import Depot, Hold
from distribute_challenge.stores.filesystem import FsspecStore
from distribute_challenge.stores.folder import FolderStore, shared_memory_identity
from distribute_challenge.stores.opening import open_store
from distribute_challenge.stores.reader import Values
from distribute_challenge.stores.redis import RedisStore
from distribute_challenge.stores.sweep import sweep

__all__ = [
    "Buffer",
    "Depot",
    "FolderStore",
    "FsspecStore",
    "Hold",
    "RedisStore",
    "Reference",
    "Store",
    "Values",
    "as_size",
    "open_store",
    "shared_memory_identity",
    "sweep",
]
