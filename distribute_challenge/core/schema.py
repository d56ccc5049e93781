"""What may stand in the header of a frame, field by field.

Whoever holds the secret may have mistaken something, and where there is no secret anybody may have
sent it. Code behind this point does arithmetic with numbers, encodes texts, and takes names for
keys: a field of another kind would end a worker's main process, or a client's thread, far from
where it came in.
"""

from collections.abc import Callable, Mapping
from sys import float_info
from typing import Any, Final

from distribute_challenge.errors import ForgedError, VersionMismatchError
from distribute_challenge.version import __version__

__all__ = ["Check", "checked", "flag", "number_up_to", "optional", "row_of", "seconds", "text"]

#: Whether a field may have a value.
Check = Callable[[Any], bool]

LARGEST: Final = 2**63 - 1


def text(value: Any) -> bool:
    """Whether it is a text that can be encoded: half a surrogate pair cannot."""
    if not isinstance(value, str):
        return False
    if value.isascii():
        return True  # As nearly all are, and this is a tenth of the work.
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def seconds(value: Any) -> bool:
    """Whether it is a time or a duration: not endless, nor NaN, nor more than a float can be."""
    return type(value) in (int, float) and abs(value) <= float_info.max


def flag(value: Any) -> bool:
    """Whether it is true or false, and not 1 or 0."""
    return isinstance(value, bool)


def number_up_to(most: int = LARGEST) -> Check:
    """For whole numbers from 0 on."""
    return lambda value: type(value) is int and 0 <= value <= most


def optional(check: Check) -> Check:
    """For fields that may be null."""
    return lambda value: value is None or check(value)


def row_of(check: Check) -> Check:
    """For lists of any length."""
    return lambda value: isinstance(value, list) and all(map(check, value))


def checked(header: Any, checks: Mapping[str, Check]) -> dict[str, Any]:
    """A header, if each field is there and may have the value that it has, and there is no other.

    Args:
        header: What the frame has.
        checks: By the names of the fields.

    Raises:
        VersionMismatchError: It is of another version of the library, and its fields are others.
        ForgedError: It is no such header.
    """
    if not isinstance(header, dict):
        raise ForgedError("its header is none")
    if header.keys() != checks.keys():
        sender = header.get("library")
        if isinstance(sender, str) and sender != __version__:
            raise VersionMismatchError(
                f"a message of distribute_challenge {sender:.40} has other fields than those that "
                f"version {__version__} knows; "
                f"install the same version on client and workers"
            )
        raise ForgedError("its header has other fields")
    for name, check in checks.items():
        if not check(header[name]):
            raise ForgedError(f"its header has a {name} that none can have")
    return header
