"""What stands for a large value where the value itself does not travel."""

from typing import NamedTuple

__all__ = ["Reference"]


class Reference(NamedTuple):
    """What a message carries in place of a large value.

    Attributes:
        key: Names the content, among the values of one client.
        size: Bytes.
    """

    key: str
    size: int
