"""A block of items of a queue: what several items are while they lie in Redis."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from distribute_challenge.core.framing import Blob, framed, unbroken, unframed
from distribute_challenge.core.messages import PYTHON
from distribute_challenge.core.schema import Check, flag, number_up_to, row_of, text
from distribute_challenge.errors import ForgedError, VersionMismatchError
from distribute_challenge.version import __version__

__all__ = ["ItemBlock"]

_CHECKS: Final[dict[str, Check]] = {
    "library": text,
    "python": text,
    "plain": flag,
    "joined": flag,
    "count": number_up_to(),
    "sizes": row_of(number_up_to()),
}


class ItemBlock(NamedTuple):
    """Some pickled items, in the order in which they were put.

    Args:
        blobs: The items, each pickled by itself; or one blob, their pickled list.
        count: How many items there are.
        is_joined: Whether the only blob is a list of all items.
        is_plain: Whether all are made of built-in values. Other items may contain bytecode.
        python: Minor version of the Python that has pickled them.

    Examples:
        >>> block = ItemBlock([b"one", b"two"], 2, is_joined=False, is_plain=True)
        >>> ItemBlock.decode(block.encode()) == block
        True
    """

    blobs: Sequence[Blob]
    count: int  # type: ignore[assignment] # hides the method of tuples, which has no use here
    is_joined: bool
    is_plain: bool
    python: str = PYTHON

    def encode(self) -> bytes:
        """Encode it as a frame."""
        header = {
            "library": __version__,
            "python": self.python,
            "plain": self.is_plain,
            "joined": self.is_joined,
            "count": self.count,
        }
        return framed(header, self.blobs)

    @classmethod
    def decode(cls, frame: Blob) -> "ItemBlock":
        """Decode a frame.

        Raises:
            ForgedError: The frame is broken.
            VersionMismatchError: Another version of the library has made it.
        """
        with unbroken:
            header, blobs = unframed(frame, _CHECKS)
        if len(blobs) != (1 if header["joined"] else header["count"]):
            raise ForgedError("a block has more or fewer items than it says")
        return cls(blobs, header["count"], header["joined"], header["plain"], header["python"])

    def check_version(self) -> None:
        """Raise `VersionMismatchError` if this Python may not be able to load the items."""
        if not self.is_plain and self.python != PYTHON:
            raise VersionMismatchError(
                f"an item was put by Python {self.python}, and this is Python {PYTHON}: it may "
                f"contain bytecode, which only the same minor version can run. The item stays in "
                f"the queue; take it with Python {self.python}, or put numbers, texts and "
                f"built-in containers"
            )
