"""Blocks of items of a queue: sealed for Redis, opened, and their items loaded.

put: a block ──► sealed ──► Redis
└─ a large item: a reference; it lies in Redis, in parts, until the item is done
get: entries ──► their blocks, opened ──► the items of each entry
"""

import uuid
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from distribute_challenge.core.framing import Blob
from distribute_challenge.core.item_block import ItemBlock
from distribute_challenge.errors import ForgedError, ValueLostError
from distribute_challenge.execution_backends.celery.broker.connection import Broker
from distribute_challenge.execution_backends.celery.broker.queues import Entry
from distribute_challenge.security import Purpose
from distribute_challenge.serialisation import LARGE_STREAM, loads, pack_plain, unpack
from distribute_challenge.stores import RedisStore, Reference
from distribute_challenge.stores.redis import VALUE_EXPIRY

__all__ = ["ItemBlocks", "Known", "SealedBlock"]

MOST_KEPT = 4  # Blocks that are kept, as a part of them is still in the queue; a guess.


class SealedBlock(NamedTuple):
    """A block on its way into a queue: what `QueueRecord.put` is given.

    Args:
        id: Its id.
        first: Number of the first item that is put.
        length: How many items there are from this one on.
        sealed: The sealed items.
        keys: Keys of Redis that hold its item, if it is large.
    """

    id: str
    first: int
    length: int
    sealed: bytes
    keys: Sequence[str]


class _Opened(NamedTuple):
    """A block that was opened, with its items as far as they were joined, and so are loaded."""

    block: ItemBlock
    items: list[Any] | None


#: Blocks that were opened, by their ids.
Known = dict[str, _Opened]


class ItemBlocks:
    """Seals and opens the blocks of one queue.

    Guarantees: safe for threads. The table of blocks that are kept is replaced, and never changed.

    Args:
        connection: To the broker.
        queue: The queue's id, which the seal covers.
    """

    def __init__(self, connection: Broker, queue: str) -> None:
        self._connection = connection
        self._queue = queue
        self._kept: Known = {}

    def seal(self, block: ItemBlock, first: int) -> SealedBlock:
        """Seal a block.

        Args:
            block: The block.
            first: Number of the first item that is put.

        Raises:
            StoreFullError: Redis has no room for a large item.
            BrokerUnreachableError: Redis does not take a large item.
        """
        id = uuid.uuid4().hex  # noqa: A001
        keys: list[str] = []

        def keep(data: memoryview) -> Reference:
            store = RedisStore(self._connection, id, self._connection.keyring)
            reference = Reference("item", data.nbytes)
            store.put(reference.key, data)
            keys.extend(store.keys_of(*reference))
            return reference

        if block.count == 1 and len(block.blobs[0]) >= LARGE_STREAM:
            block = block._replace(blobs=[pack_plain(bytes(block.blobs[0]), keep)])
        sealed = self._connection.keyring.seal(Purpose.items(self._queue, id), [block.encode()])
        return SealedBlock(id, first, block.count - first, sealed, keys)

    def renew(self, block: SealedBlock) -> None:
        """Keep the large item of a block that waits until there is room for it."""
        for key in block.keys:
            self._connection.expire(key, VALUE_EXPIRY)

    def known(self) -> Known:
        """Return the blocks that are kept here, by their ids."""
        return dict(self._kept)

    def open(self, entry: Entry, known: Known, *, keeps: bool = True) -> Iterator[Any]:
        """Open the block of an entry, and return an iterator that loads the items of the entry.

        The iterator raises whatever unpickling an item raises, or `ValueLostError` if the item is
        large and gone from Redis.

        Args:
            entry: The entry.
            known: The blocks that the caller had when it asked for the entry. The block of the
                entry is added.
            keeps: Whether to keep the block, as the caller most likely takes the rest of it, too.

        Raises:
            ForgedError: The block was not sealed for this queue, or the entry does not fit it.
            VersionMismatchError: Another version of Python or of the library has made the block.
            BackendError: It is encrypted, and the package for that is missing here.
        """
        opened = known.get(entry.block)
        if opened is None:
            purpose = Purpose.items(self._queue, entry.block)
            block = ItemBlock.decode(self._connection.keyring.open(purpose, entry.sealed))
            block.check_version()
            items = loads(block.blobs[0]) if block.is_joined else None
            opened = known[entry.block] = _Opened(block, items)
        if not entry.start < entry.stop <= opened.block.count:
            raise ForgedError("an entry has items that its block does not have")
        if keeps:
            self._keep(entry, opened)
        part = slice(entry.start, entry.stop)
        if opened.items is not None:
            return iter(opened.items[part])
        return (self._load(entry, blob) for blob in opened.block.blobs[part])

    def _keep(self, entry: Entry, opened: _Opened) -> None:
        """Keep a block of which a part is still in the queue."""
        kept = dict(self._kept)
        if entry.stop < opened.block.count:
            kept[entry.block] = opened
            while len(kept) > MOST_KEPT:
                del kept[next(iter(kept))]
        else:
            kept.pop(entry.block, None)
        self._kept = kept

    def _load(self, entry: Entry, blob: Blob) -> Any:
        def fetch(reference: Reference) -> memoryview:
            store = RedisStore(self._connection, entry.block, self._connection.keyring)
            # Memory of the caller's own: nothing else reads the item from here.
            data = store.copy(*reference)
            if data is None:
                raise ValueLostError(
                    "a large item is gone from Redis: it was emptied, or ran out of memory",
                    [reference.key],
                )
            return data

        return unpack(blob, fetch)
