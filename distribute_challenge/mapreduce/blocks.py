"""What one call of a map-reduce gives: pairs in pickled blocks, divided into sections.

    a call of the first wave ──► one section for each partition ──► calls of the second wave
    a call of the second wave ──► one section ──► the client

A block is two lists: keys, and what belongs to each. All blocks lie in one buffer, which is kept
where large values are. A reader gets the index and maps the buffer: it reads its own section alone,
block by block.
"""

import marshal
from collections.abc import Collection, Iterator, Sequence
from mmap import mmap
from pickle import PickleBuffer
from typing import Any, TypeAlias

from distribute_challenge.core.sizes import as_size
from distribute_challenge.mapreduce.keys import Pairs, has_plain_types
from distribute_challenge.mapreduce.spill import Piece, Spill
from distribute_challenge.serialisation import dumps, loads

__all__ = ["BlockWriter", "Blocks", "decoded", "encoded"]

_Index: TypeAlias = Sequence[Sequence[Piece]]

_MARSHAL_VERSION = 2  # Later ones look for keys that are there twice; there are none.


def encoded(pairs: Pairs, what: str) -> bytes:
    """Return a block as bytes.

    Args:
        pairs: The block.
        what: What it is, for an error message.

    Raises:
        SerialisationError: A value cannot be pickled.
    """
    keys, values = pairs
    if has_plain_types(keys):
        # A pickler remembers each of them, in case that it comes again: that takes twice as long.
        return dumps((marshal.dumps(keys, _MARSHAL_VERSION), values), what).data
    return dumps(pairs, what).data


def decoded(data: bytes | memoryview) -> Pairs:
    """Return a block that was `encoded`."""
    keys, values = loads(data)
    return (marshal.loads(keys) if isinstance(keys, bytes) else keys), values


class Blocks:
    """Encoded blocks, divided into sections.

    Args:
        data: All of their bytes.
        index: Where the blocks of each section are.
        kinds: The types of all keys (`kinds_of`); empty: they were not noted.

    Attributes:
        kinds: As given.
    """

    def __init__(self, data: Any, index: _Index, kinds: Collection[type] = ()) -> None:
        self._data = data
        self._index = index
        self.kinds = kinds

    @property
    def size(self) -> int:
        """Number of bytes."""
        return len(self._data)

    def section(self, number: int) -> Iterator[Pairs]:
        """Yield the blocks of one section, decoded one at a time."""
        with memoryview(self._data) as data:
            for offset, size in self._index[number]:
                yield decoded(data[offset : offset + size])

    def alone(self, number: int) -> "Blocks":
        """Return a copy in which only one section has content."""
        data, index = bytearray(), []
        with memoryview(self._data) as all_data:
            for offset, size in self._index[number]:
                index.append((len(data), size))
                data += all_data[offset : offset + size]
        empty: list[Sequence[Piece]] = [()] * len(self._index)
        empty[number] = index
        return Blocks(data, empty)

    def __repr__(self) -> str:
        return f"<Blocks, {as_size(self.size)}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return Blocks, (PickleBuffer(self._data), self._index, self.kinds)


class BlockWriter:
    """Collects blocks; those that take more memory than allowed go to a file.

    Args:
        sections: Number of sections.
        limit: Bytes that may be in memory.
        spill: The file.
    """

    def __init__(self, sections: int, limit: int, spill: Spill) -> None:
        self._index: list[list[Piece]] = [[] for _ in range(sections)]
        self._data = bytearray()
        self._limit = limit
        self._spill = spill

    def add(self, section: int, block: bytes) -> None:
        """Add an encoded block to a section."""
        if self._spill.size or len(self._data) + len(block) > self._limit:
            if not self._spill.size:
                self._spill.append(self._data)
                self._data = bytearray()
            piece = self._spill.append(block)
        else:
            piece = len(self._data), len(block)
            self._data += block
        self._index[section].append(piece)

    def blocks(self, kinds: Collection[type] = ()) -> Blocks:
        """Return what was collected.

        Args:
            kinds: The types of all keys (`kinds_of`), if a reader needs them.
        """
        data: bytearray | mmap = self._spill.mapped() if self._spill.size else self._data
        return Blocks(data, self._index, kinds)
