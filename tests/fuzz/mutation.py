"""Valid bytes made invalid, in ways that depend on a seed alone."""

import base64
import copy
import json
import pickle
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["Mutator", "bombs"]

#: Values that an attacker may put where something else is expected.
STRANGE: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**63,
    -(2**63) - 1,
    10**400,
    0.5,
    -1e308,
    1e308,
    float("nan"),
    float("inf"),
    -float("inf"),
    "",
    "x",
    "x" * 5000,
    "\ud800",
    "\x00",
    "../../../etc/passwd",
    "%s%n{0.__class__}",
    "é" * 300,
    [],
    {},
    [[]],
    [None],
    {"": None},
    {"x": [{}]},
    ["a", "b"],
    [1, "a", {}],
]
LENGTHS = [0, 1, 2**7, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 1]


class Mutator:
    """Makes variants of bytes and of what JSON holds.

    Args:
        seed: The same seed, the same variants.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def raw(self, valid: Sequence[bytes]) -> bytes:
        """Return one of some byte strings, changed: bits, cuts, insertions, splices, lengths."""
        data = bytearray(self.random.choice(valid))
        for _ in range(self.random.choice([1, 1, 1, 2, 5])):
            self.random.choice(
                [self._flip, self._cut, self._insert, self._splice, self._length, self._double]
            )(data, valid)
        return bytes(data)

    def json(self, valid: Any) -> Any:
        """A JSON value, changed at one to three places on any level: type, key, depth or size."""
        value = copy.deepcopy(valid)
        for _ in range(self.random.choice([1, 1, 2, 3])):
            value = self._changed(value)
        return value

    def text(self, valid: Any) -> bytes:
        """A changed value as JSON text, or text that is no JSON any more."""
        text = json.dumps(self.json(valid)).encode()
        return self.raw([text]) if self.random.random() < 0.2 else text

    def _place(self, data: bytearray) -> int:
        return self.random.randrange(len(data) + 1)

    def _flip(self, data: bytearray, valid: Sequence[bytes]) -> None:
        for _ in range(min(len(data), self.random.choice([1, 1, 3, 20]))):
            data[self.random.randrange(len(data))] ^= 1 << self.random.randrange(8)

    def _cut(self, data: bytearray, valid: Sequence[bytes]) -> None:
        first, last = sorted((self._place(data), self._place(data)))
        if self.random.random() < 0.5:
            del data[first:]
        else:
            del data[first:last]

    def _insert(self, data: bytearray, valid: Sequence[bytes]) -> None:
        place = self._place(data)
        junk = [
            b"\x00" * 100,
            b"{" * 50,
            b'"',
            b"\xff\xfe",
            b"[" * 5000,
            self.random.randbytes(self.random.choice([1, 8, 300])),
        ]
        data[place:place] = self.random.choice(junk)

    def _splice(self, data: bytearray, valid: Sequence[bytes]) -> None:
        other = self.random.choice(valid)
        data[self._place(data) :] = other[self.random.randrange(len(other) + 1) :]

    def _length(self, data: bytearray, valid: Sequence[bytes]) -> None:
        if len(data) >= 8:
            place = self.random.choice([4, self.random.randrange(len(data) - 3)])
            data[place : place + 4] = self.random.choice(LENGTHS).to_bytes(4, "big")

    def _double(self, data: bytearray, valid: Sequence[bytes]) -> None:
        data += data[: self._place(data)]

    def _changed(self, value: Any) -> Any:
        if isinstance(value, dict | list) and value and self.random.random() < 0.85:
            self._change_inside(value)
            return value
        strange: list[Callable[[], Any]] = [
            lambda: copy.deepcopy(self.random.choice(STRANGE)),
            lambda: [value] * self.random.choice([1, 2, 50]),
            lambda: {"x": value},
            self._deep,
        ]
        return self.random.choices(strange, [10, 1, 1, 1])[0]()

    def _change_inside(self, value: Any) -> None:
        key = self.random.choice(list(value) if isinstance(value, dict) else range(len(value)))
        action = self.random.random()
        if action < 0.15:
            del value[key]
        elif action < 0.25:
            if isinstance(value, dict):
                value[self.random.choice(["x", "", "\ud800", "__class__", key * 3])] = (
                    copy.deepcopy(self.random.choice(STRANGE))
                )
            else:
                value.insert(self._index(value), copy.deepcopy(self.random.choice(STRANGE)))
        elif action < 0.35 and isinstance(value, list):
            self.random.shuffle(value)
        elif action < 0.4 and isinstance(value, dict):
            other = self.random.choice(list(value))
            value[key], value[other] = value[other], value[key]
        else:
            value[key] = self._changed(value[key])

    def _index(self, value: list[Any]) -> int:
        return self.random.randrange(len(value) + 1)

    def _deep(self) -> Any:
        value: Any = []
        for _ in range(self.random.choice([10, 100, 300])):
            value = [value] if self.random.random() < 0.5 else {"x": value}
        return value


class _Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self._path), "w")


def bombs(path: Path) -> list[bytes]:
    """Pickles that create a file if a process unpickles them, as they are and in base64."""
    made = [pickle.dumps(_Bomb(path), protocol) for protocol in (0, 2, 4, 5)]
    made.append(pickle.dumps(((), {"x": _Bomb(path)}, {})))
    return [*made, *map(base64.b64encode, made)]
