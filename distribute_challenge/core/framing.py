"""How a message lies in bytes: magic bytes with the format's number, a JSON header, and opaque byte
strings.

    0      4            8                8 + h
    | DCF1 | h (uint32) | header (JSON)  | blob | blob | ...      header["sizes"] holds their lengths

Only the serialiser reads the blobs. The header can therefore be understood and logged before a
single byte is unpickled, also by another version of Python.
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
_LARGE: Final = 64_000  # Bytes of a blob from which on it is not copied out of its frame.
# Made once: with these separators `json.dumps` makes an encoder each time.
_compact: Final = json.JSONEncoder(separators=(",", ":")).encode


def framed(header: dict[str, Any], blobs: Sequence[Blob]) -> bytes:
    """A frame.

    Args:
        header: Whatever JSON holds; ``sizes`` is added to it.
        blobs: What follows.
    """
    header["sizes"] = [len(blob) for blob in blobs]
    content = _compact(header).encode()
    return b"".join([_MAGIC, _LENGTH.pack(len(content)), content, *blobs])


def unframed(frame: Blob, checks: Mapping[str, Check]) -> tuple[dict[str, Any], list[Any]]:
    """Header and blobs of a frame; within `unbroken`.

    Args:
        frame: A result of `framed`, or something that somebody has made up.
        checks: What each field of the header may be, ``sizes`` included.

    Raises:
        VersionMismatchError: It is of another format.
        ForgedError: It is broken, or its header has other fields.
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
        # `bytes` of bytes is the same object: small ones are copied once.
        blobs.append(
            bytes(frame[end : end + size]) if size < _LARGE else memoryview(frame)[end : end + size]
        )
        end += size
    if end != len(frame):
        raise ForgedError("its frame is longer or shorter than it says")
    return header, blobs


def versions_in(frame: Blob) -> tuple[str, str] | None:
    """The sender's Python and library, from a frame of another format or with other fields; None:
    they cannot be read.

    Args:
        frame: As `unframed` refuses it with a `VersionMismatchError`.
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
            # Only its kind: its words may be the sender's, and what is refused is counted by the
            # words for it.
            raise ForgedError(f"its frame is broken ({type(error).__name__})") from None


#: Turns what a broken frame does to whoever reads it into one error. One for all, as it is entered
#: for every message.
unbroken: Final = _Unbroken()
