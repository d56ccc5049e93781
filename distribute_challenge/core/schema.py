"""Checks the header of a frame, field by field.

A holder of the secret may have made a mistake, and without a secret any program may have sent the
frame. Code behind this point does arithmetic with numbers, encodes texts, and uses names as keys: a
field of another kind would end a worker's main process, or a client's thread, far from where the
frame came in.
"""

from collections.abc import Callable, Mapping
from sys import float_info
from typing import Any, Final

from distribute_challenge.errors import ForgedError, VersionMismatchError
from distribute_challenge.version import __version__

__all__ = ["Check", "checked", "flag", "number_up_to", "optional", "row_of", "seconds", "text"]

#: Tells whether a field may have a value.
Check = Callable[[Any], bool]

LARGEST: Final = 2**63 - 1


def text(value: Any) -> bool:
    """Whether a value is text that can be encoded: half a surrogate pair cannot."""
    if not isinstance(value, str):
        return False
    if value.isascii():
        return True  # Nearly all texts are ASCII, and this check takes a tenth of the time.
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def seconds(value: Any) -> bool:
    """Whether a value is a time or a duration: a number that is finite and fits into a float."""
    return type(value) in (int, float) and abs(value) <= float_info.max


def flag(value: Any) -> bool:
    """Whether a value is True or False, and not 1 or 0."""
    return isinstance(value, bool)


def number_up_to(most: int = LARGEST) -> Check:
    """Return a check for whole numbers from 0 to ``most``."""
    return lambda value: type(value) is int and 0 <= value <= most


def optional(check: Check) -> Check:
    """Return a check for fields that may be null."""
    return lambda value: value is None or check(value)


def row_of(check: Check) -> Check:
    """Return a check for lists of any length, each item of which passes ``check``."""
    return lambda value: isinstance(value, list) and all(map(check, value))


def checked(header: Any, checks: Mapping[str, Check]) -> dict[str, Any]:
    """Return a header if it has exactly the fields of ``checks`` and each passes its check.

    Args:
        header: The decoded JSON of the frame.
        checks: The check for each field, by name.

    Raises:
        VersionMismatchError: The header has other fields, and is of another version of the library.
        ForgedError: It is not such a header.
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
