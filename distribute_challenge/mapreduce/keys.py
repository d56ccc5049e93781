"""Keys as bytes that are the same in every process, and the partition of a key.

Python's `hash` of a text differs between processes, so two of them would disagree where a key
belongs. These bytes depend on the key alone:

    whole number   1, sign and length, magnitude; inverted if it is negative
    bytes          2, the bytes
    text           3, UTF-8
    tuple          4, its items one after the other, 0

Inside a tuple, bytes and texts end in 0, and a 0 of their own is followed by 255. So the bytes of a
key are never the beginning of those of another key in the same place, and sort as the keys do.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from itertools import repeat
from numbers import Integral
from typing import Any, Final, TypeAlias
from zlib import crc32

from distribute_challenge.core.signature import value_text
from distribute_challenge.errors import CallError

__all__ = [
    "Key",
    "Pairs",
    "can_compare",
    "divided",
    "has_plain_types",
    "in_order",
    "kinds_of",
    "partition_of",
    "refuse_unhashable",
    "stable_bytes",
]

#: A key of `map_reduce`: a text, bytes, a whole number, or a tuple of these, which may be nested.
Key: TypeAlias = "str | bytes | int | tuple[Key, ...]"

#: Keys, and what belongs to each, as two lists: these are made and pickled in less time than others.
Pairs: TypeAlias = tuple[list[Any], list[Any]]

_PLAIN: Final = frozenset({str, bytes, int})
_END = b"\x00"
_ESCAPED = b"\x00\xff"
_TEXT = b"\x03"
_CRC_OF_TEXT = crc32(_TEXT)
_LONG = 0x7F  # Numbers of so many bytes have their length in 8 bytes more.


def stable_bytes(key: Key) -> bytes:
    """Return the bytes of a key: equal for equal keys, in every process, and in their order.

    Numbers come before bytes, these before texts, and tuples last. A text compares by its code
    points, as in Python.

    Raises:
        CallError: The key is of another type.

    Examples:
        >>> sorted(["b", (1, "a"), 10, 9, -1, "a"], key=stable_bytes)
        [-1, 9, 10, 'a', 'b', (1, 'a')]
    """
    encode = _ENCODERS.get(type(key)) or _encoder_of(key)
    return encode(key)


def partition_of(key: Key, partitions: int) -> int:
    """Return the partition to which a key belongs, which is the same in every process.

    Args:
        key: The key.
        partitions: Number of partitions.

    Raises:
        CallError: The key is of a type that has no stable bytes.

    Examples:
        >>> [partition_of(key, 4) for key in ("a", b"a", 1, True, (1, "a"))]
        [2, 3, 1, 1, 3]
    """
    return crc32(stable_bytes(key)) % partitions


def divided(pairs: Mapping[Key, Any], partitions: int) -> list[Pairs]:
    """Return pairs by the partitions of their keys, in their order.

    Args:
        pairs: The pairs.
        partitions: Number of partitions.

    Raises:
        CallError: A key is of a type that has no stable bytes.
    """
    if partitions == 1:
        if not has_plain_types(pairs):
            deque(map(stable_bytes, pairs), maxlen=0)  # Only for the error.
        return [(list(pairs), list(pairs.values()))]
    parts: list[Pairs] = [([], []) for _ in range(partitions)]
    # Methods, and lists rather than dictionaries, as this is done for each pair of a job.
    appends = [(keys.append, values.append) for keys, values in parts]
    for (key, value), number in zip(pairs.items(), _hashes(pairs), strict=True):
        add_key, add_value = appends[number % partitions]
        add_key(key)
        add_value(value)
    return parts


def in_order(keys: Collection[Key]) -> list[Key]:
    """Return keys in the order of their stable bytes.

    Raises:
        CallError: A key is of a type that has no stable bytes.

    Examples:
        >>> in_order(["b", 10, "a", 9])
        [9, 10, 'a', 'b']
    """
    if can_compare(set(map(type, keys))):
        # In C alone: numbers take a fourth of the time.
        return sorted(keys)
    return sorted(keys, key=stable_bytes)


def can_compare(kinds: Collection[type]) -> bool:
    """Whether Python compares keys of these types with each other, as their stable bytes do."""
    return len(kinds) == 1 and _PLAIN.issuperset(kinds)


def kinds_of(keys: Iterable[Any]) -> set[type]:
    """Return the types of keys; `object` stands for any but a text, bytes, or a whole number."""
    return {kind if kind in _PLAIN else object for kind in set(map(type, keys))}


def has_plain_types(keys: Iterable[Any]) -> bool:
    """Whether all keys are texts, bytes and whole numbers of Python itself."""
    return _PLAIN.issuperset(map(type, keys))


def _hashes(keys: Collection[Any]) -> Iterable[int]:
    """Return a hash of the stable bytes of each key."""
    if set(map(type, keys)) == {str}:
        # In C alone, as most keys are texts: this takes a fourth of the time.
        with suppress(UnicodeEncodeError):
            return list(map(crc32, map(str.encode, keys), repeat(_CRC_OF_TEXT)))
    return map(crc32, map(stable_bytes, keys))


def _of_text(key: str) -> bytes:
    # A surrogate by itself, as in the name of a file, has no UTF-8, but a place in the order.
    return _TEXT + key.encode("utf-8", "surrogatepass")


def _of_bytes(key: bytes) -> bytes:
    return b"\x02" + key


def _of_number(key: Integral) -> bytes:
    number = int(key)
    size = (abs(number).bit_length() + 7) // 8
    data = bytes([0x80 + size]) if size < _LONG else b"\xff" + size.to_bytes(8, "big")
    data += abs(number).to_bytes(size, "big")
    return b"\x01" + (bytes(0xFF - byte for byte in data) if number < 0 else data)


def _of_tuple(key: tuple[Any, ...]) -> bytes:
    parts = [b"\x04"]
    for item in key:
        part = stable_bytes(item)
        if part[0] in (2, 3):
            part = part.replace(_END, _ESCAPED) + _END
        parts.append(part)
    parts.append(_END)
    return b"".join(parts)


_ENCODERS: Final[dict[type, Callable[[Any], bytes]]] = {
    str: _of_text,
    bytes: _of_bytes,
    int: _of_number,
    bool: _of_number,
    tuple: _of_tuple,
}


def _encoder_of(key: object) -> Callable[[Any], bytes]:
    """Return the function for a key of a subclass, or for a whole number of NumPy."""
    for kind, encode in ((Integral, _of_number), (str, _of_text), (bytes, _of_bytes)):
        if isinstance(key, kind):
            return encode
    if isinstance(key, tuple):
        return _of_tuple
    raise _refused(key)


def refuse_unhashable(keys: Iterable[Any]) -> None:
    """Raise an error if a key is of a type that no dictionary can have as a key.

    Raises:
        CallError: One is.
    """
    for key in keys:
        try:
            hash(key)
        except TypeError:
            raise _refused(key) from None


def _refused(key: object) -> CallError:
    return CallError(
        f"got the key {value_text(key)} of type {type(key).__name__}, expected a text, bytes, a whole "
        f"number, or a tuple of these: another type may be hashed differently in each process. "
        f"Give map_reduce a function that turns keys into one of these, as in key=str"
    )
