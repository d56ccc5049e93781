"""Encodes a message as a frame: magic bytes with the format number, a JSON header, and blobs.

    0      4            8                8 + h
    | DCF1 | h (uint32) | header (JSON)  | blob | blob | ...     header["sizes"] holds their lengths

The blobs are byte strings that only the serialiser reads. The header can therefore be understood
and logged before a single byte is unpickled, even by another version of Python.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

from distribute_challenge.core.schema import Check, checked, text
from distribute_challenge.errors import ForgedError, VersionMismatchError

__all__ = ["Blob", "framed", "unbroken", "unframed", "versions_in"]

Blob = bytes | memoryview

_MAGIC: Final = b"DCF1"
_LENGTH: Final = struct.Struct(">I")
_LARGE: Final = 64_000  # Bytes; a blob of this size or more is not copied out of its frame.
# Made once: with these separators `json.dumps` would make a new encoder for each call.
_compact: Final = json.JSONEncoder(separators=(",", ":")).encode


def framed(header: dict[str, Any], blobs: Sequence[Blob]) -> bytes:
    """Encode a header and blobs as one frame.

    Args:
        header: Fields with JSON values; ``sizes`` is added to it.
        blobs: The byte strings that follow the header.
    """
    header["sizes"] = [len(blob) for blob in blobs]
    content = _compact(header).encode()
    return b"".join([_MAGIC, _LENGTH.pack(len(content)), content, *blobs])


def unframed(frame: Blob, checks: Mapping[str, Check]) -> tuple[dict[str, Any], list[Any]]:
    """Decode a frame into its header and blobs. Call it within ``with unbroken:``.

    Args:
        frame: A result of `framed`, or bytes that an attacker has made up.
        checks: The check for each field of the header, ``sizes`` included.

    Raises:
        VersionMismatchError: The frame is of another format.
        ForgedError: The frame is broken, or its header has other fields.
    """
    if frame[:4] != _MAGIC:
        raise VersionMismatchError(
            f"a message starts with {bytes(frame[:4])!r}, this library speaks {_MAGIC!r}; "
            f"install the same version of distribute_challenge on client and workers"
        )
    end = 8 + _LENGTH.unpack_from(frame, 4)[0]
    header = checked(json.loads(bytes(frame[8:end])), checks)
    blobs: list[Blob] = []
    for size in header.pop("sizes"):
        # A slice of bytes is bytes, and `bytes` of it is the same object: one copy, not two.
        blobs.append(
            bytes(frame[end : end + size]) if size < _LARGE else memoryview(frame)[end : end + size]
        )
        end += size
    if end != len(frame):
        raise ForgedError("its frame is longer or shorter than it says")
    return header, blobs


def versions_in(frame: Blob) -> tuple[str, str] | None:
    """Return the sender's Python and library versions; None if they cannot be read.

    Args:
        frame: A frame that `unframed` refused with a `VersionMismatchError`: it has another format
            or other fields.
    """
    try:
        header = json.loads(bytes(frame[8 : 8 + _LENGTH.unpack_from(frame, 4)[0]]))
        python, library = header["python"], header["library"]
    except (KeyError, TypeError, ValueError, RecursionError, struct.error):
        return None
    return (python, library) if text(python) and text(library) else None


class _Unbroken:
    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: object
    ) -> None:
        if isinstance(error, IndexError | ValueError | RecursionError | struct.error):
            # Only the kind of the error: its text may contain what the sender wrote, and refusals
            # are counted by their text.
            raise ForgedError(f"its frame is broken ({type(error).__name__})") from None


#: A context manager that turns each error of reading a broken frame into a `ForgedError`. There is
#: one instance, because it is entered for every message.
unbroken: Final = _Unbroken()
