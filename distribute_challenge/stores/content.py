"""Tells equal values from different ones by hashes, without reading all of a large one.

Two values whose samples differ are different. Only if the client keeps a value with the same
sample, both are hashed as a whole. So a large value that comes once is never hashed: that would
take nearly half as long as to write it to shared memory.
"""

from functools import cached_property
from pickle import PickleBuffer

from distribute_challenge.stores.base import Buffer

__all__ = ["Content", "hashed"]

BLOCK = 1 << 10  # Bytes.
BLOCKS = 64  # To hash so many takes some hundredths of a millisecond.


class Content:
    """The content of a value that the client wants to keep.

    Args:
        buffer: The value's bytes, of any shape.
        seed: Of the hashes of this client. It is random: without it, it is not possible to make
            a value with a given hash.

    Attributes:
        data: The bytes in one row.
        sample: The hash of the size and of blocks at equal distances; of a small value, of all.
    """

    def __init__(self, buffer: Buffer, seed: int) -> None:
        self.data = _in_one_row(buffer)
        self._seed = seed
        self.sample = self._sampled() if self.is_sampled else self.digest

    @property
    def is_sampled(self) -> bool:
        """Whether different values may have the same sample."""
        return self.data.nbytes > BLOCKS * BLOCK

    @cached_property
    def digest(self) -> str:
        """The hash of all bytes, which takes 0.1 ms for a megabyte."""
        return hashed(self.data, self._seed)

    def _sampled(self) -> str:
        import xxhash

        size = self.data.nbytes
        sample = xxhash.xxh3_128(size.to_bytes(8, "little"), seed=self._seed)
        for number in range(BLOCKS):  # The last block is the end of the value.
            start = (size - BLOCK) * number // (BLOCKS - 1)
            sample.update(self.data[start : start + BLOCK])
        return sample.hexdigest()


def hashed(data: memoryview, seed: int) -> str:
    """Hash all bytes of a value.

    Args:
        data: The bytes in one row.
        seed: As for `Content`.
    """
    import xxhash

    return xxhash.xxh3_128(data, seed=seed).hexdigest()


def _in_one_row(buffer: Buffer) -> memoryview:
    # No buffer of a buffer: CPython before 3.12.7 crashes when its garbage collector meets a
    # memoryview that another object wraps (gh-77894), and the frames of an error that is raised
    # while the value is deposited may be part of a reference cycle.
    if (
        isinstance(buffer, memoryview)
        and buffer.ndim == 1
        and buffer.format == "B"
        and buffer.c_contiguous
    ):
        return buffer
    return PickleBuffer(buffer).raw()
