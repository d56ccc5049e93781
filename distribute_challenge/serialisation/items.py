"""Items of a queue to blocks, in which each can be taken by itself."""

import io
import pickle
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

from distribute_challenge.core.item_block import ItemBlock
from distribute_challenge.serialisation.parcels import LARGE_STREAM
from distribute_challenge.serialisation.pickling import NotPlainError, PlainPickler, dumps
from distribute_challenge.serialisation.project_pickler import PROTOCOL

__all__ = ["MOST_ITEMS", "pack_items"]

# Bounds of a block. A consumer that takes one item of a block fetches all of it.
MOST_ITEMS: Final = 1000
MOST_BYTES: Final = 128_000

# Types of values that never change, so that it makes no difference if two items are the same
# object. They are pickled as one list, which takes a tenth of the time.
_ATOMS: Final = frozenset([bytes, str, int, float, bool, type(None)])


def pack_items(items: Iterable[Any], what: str, most: int = MOST_ITEMS) -> list[ItemBlock]:
    """Pickle items.

    Args:
        items: The items.
        what: What each of them is called in an error message.
        most: How many items a block may have. An item of `LARGE_STREAM` bytes or more is alone in
            its block.

    Raises:
        SerialisationError: One of them cannot be pickled; the message names what is to blame.

    Examples:
        >>> [block.count for block in pack_items(range(2500), "an item")]
        [1000, 1000, 500]
    """
    blocks: list[ItemBlock] = []
    rest = iter(items)
    while some := list(islice(rest, min(most, MOST_ITEMS))):
        if _are_small_atoms(some):
            blob = pickle.dumps(some, PROTOCOL)
            blocks.append(ItemBlock([blob], len(some), is_joined=True, is_plain=True))
        else:
            blocks += _divided(_pickled(some, what))
    return blocks


def _are_small_atoms(items: list[Any]) -> bool:
    """Whether all items are of `_ATOMS`, and fit into one block."""
    if not _ATOMS.issuperset(map(type, items)):
        return False
    # `getsizeof` is too large by some bytes for each item; text may take more bytes in a pickle.
    sizes = [*map(sys.getsizeof, items)]
    return max(sizes) < LARGE_STREAM / 2 and sum(sizes) < 1.5 * MOST_BYTES


def _pickled(items: list[Any], what: str) -> Iterator[tuple[bytes, bool]]:
    """Yield each item as bytes, and whether it is made of built-in values."""
    # One pickler and one file for all: to make them takes longer than to pickle a small item.
    file = io.BytesIO()
    pickler = PlainPickler(file, PROTOCOL)
    for item in items:
        try:
            pickler.dump(item)
        except (NotPlainError, RecursionError, MemoryError):
            pickler = PlainPickler(file, PROTOCOL)
            yield dumps(item, what).data, False
        else:
            yield file.getvalue(), True
            pickler.clear_memo()
        file.seek(0)
        file.truncate()


def _divided(pickled: Iterator[tuple[bytes, bool]]) -> Iterator[ItemBlock]:
    """Yield blocks of at most `MOST_BYTES`."""
    blobs: list[bytes] = []
    size, is_plain = 0, True
    for blob, is_next_plain in pickled:
        # A large item is alone in its block.
        length = len(blob) if len(blob) < LARGE_STREAM else MOST_BYTES
        if blobs and size + length > MOST_BYTES:
            yield ItemBlock(blobs, len(blobs), is_joined=False, is_plain=is_plain)
            blobs, size, is_plain = [], 0, True
        blobs.append(blob)
        size += length
        is_plain &= is_next_plain
    yield ItemBlock(blobs, len(blobs), is_joined=False, is_plain=is_plain)
