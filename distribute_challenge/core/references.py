"""References to large values, which messages carry in place of the values."""

from typing import NamedTuple

__all__ = ["Reference"]


class Reference(NamedTuple):
    """What a message carries in place of a large value.

    Attributes:
        key: Name of the content, unique among the values of one client.
        size: Size of the value in bytes.
    """

    key: str
    size: int
