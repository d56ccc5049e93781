"""Show the value of a pickle as text without unpickling it.

Nothing is imported, and no code of a class runs.

    bytes ──> instructions ──> values, with a stand-in for each object of a class ──> text

Guarantees: any bytes may be given. Time and memory have a bound, as no more than `MOST_STEPS`
instructions are read, and of a long text no more than both its ends.
"""

import pickletools
import reprlib
import struct
from collections.abc import Callable, Iterator
from typing import Any, Final

__all__ = ["Unread", "outline", "value_text"]

MOST_STEPS = 10_000  # Instructions, which take a hundredth of a second.
MOST_BYTES = 1_000  # That are read of one text.

_OPCODES: Final = {ord(info.code): info for info in pickletools.opcodes}

_repr = reprlib.Repr()
_repr.maxlevel = 4
_repr.maxstring = _repr.maxother = 100


class Unread:
    """Stands for an object that was not unpickled, and shows what is known of it.

    Args:
        name: Name of its class, or of the function that would make it.
        is_name: Whether it stands for the class or function itself.

    Examples:
        >>> [Unread("Model"), Unread("square", is_name=True)]
        [<Model>, square]
    """

    def __init__(self, name: str, *, is_name: bool = False) -> None:
        self.name = name
        self.is_name = is_name

    def __repr__(self) -> str:
        return self.name if self.is_name else f"<{self.name}>"


def value_text(value: Any) -> str:
    """Return a value of `outline` as text, shortened."""
    return _repr.repr(value)


def outline(data: bytes | memoryview) -> tuple[Any, bool]:
    """Read the numbers, text and containers of a pickle; `Unread` stands for every other object.

    Args:
        data: The pickle.

    Returns:
        The value, and whether it is complete. If it has too many parts, the value is a list of what
        was read, with the innermost unfinished container last.

    Raises:
        ValueError: These bytes are no pickle.

    Examples:
        >>> import pickle, datetime
        >>> outline(pickle.dumps((2, "x", datetime.date(2026, 1, 1))))
        ((2, 'x', <date>), True)
    """
    reading = _Reading()
    try:
        for name, argument in _instructions(data):
            if name == "STOP":
                return reading.stack.pop(), True
            reading.step(name, argument)
    except (IndexError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"no pickle: {error!r}") from error
    return reading.unfinished(), False


def _instructions(data: bytes | memoryview) -> Iterator[tuple[str, Any]]:
    position = 0
    for _ in range(MOST_STEPS):
        info = _OPCODES[data[position]]
        position += 1
        size, begin = 0, position
        if info.arg is not None:
            begin, size = _extent(info.arg.n, data, position)
        position = begin + size
        if position > len(data):
            raise ValueError("it is cut off")
        raw = bytes(
            data[begin:position] if size <= MOST_BYTES else data[begin : begin + MOST_BYTES // 2]
        )
        if size > MOST_BYTES:
            raw += bytes(data[position - MOST_BYTES // 2 : position])
        yield info.name, (raw, size)


def _extent(kind: int, data: bytes | memoryview, position: int) -> tuple[int, int]:
    """Return where an instruction's argument begins, and its length."""
    if kind >= 0:
        return position, kind
    if kind == pickletools.UP_TO_NEWLINE:
        raise ValueError("a protocol that this library does not write")
    width = _WIDTHS[kind]
    return position + width, int.from_bytes(data[position : position + width], "little")


_WIDTHS: Final = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}

_MARK: Final = object()

#: The classes of objects that helper functions make without naming the class in their arguments.
_MADE_BY: Final = {"_frombuffer": "ndarray"}


class _Reading:
    """The stack and the memo of an unpickler that makes no objects; `outline` uses one."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def step(self, name: str, argument: tuple[bytes, int]) -> None:
        raw, size = argument
        if name in ("PROTO", "FRAME"):
            return
        if name in _VALUES:
            self.stack.append(_VALUES[name](raw, size))
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = self.stack[-1]
        elif name in ("BINPUT", "LONG_BINPUT"):
            self._memo[_number(raw, size)] = self.stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            self.stack.append(self._memo[_number(raw, size)])
        elif name in _TUPLES:
            count = _TUPLES[name]
            self.stack[len(self.stack) - count :] = [tuple(self._popped(count))]
        elif name in _OF_MARK:
            self._of_mark(name, self._to_mark())
        elif name in _OF_ONE:
            _add(self.stack[-1 - _OF_ONE[name]], self._popped(_OF_ONE[name], remove=True))
        else:
            self._make(name)

    def unfinished(self) -> Any:
        """Return what has been read so far, with the unfinished containers filled."""
        while _MARK in self.stack:
            items = self._to_mark()
            if self.stack and isinstance(self.stack[-1], list | dict | set):
                _add(self.stack[-1], items)
            else:
                self.stack.extend(items)
        return self.stack

    def _popped(self, count: int, *, remove: bool = False) -> list[Any]:
        if count > len(self.stack):
            raise IndexError("nothing to take")
        taken = self.stack[len(self.stack) - count :]
        if remove:
            del self.stack[len(self.stack) - count :]
        return taken

    def _to_mark(self) -> list[Any]:
        start = len(self.stack) - 1
        while self.stack[start] is not _MARK:
            start -= 1
            if start < 0:
                raise IndexError("no mark")
        items = self.stack[start + 1 :]
        del self.stack[start:]
        return items

    def _of_mark(self, name: str, items: list[Any]) -> None:
        if name == "TUPLE":
            self.stack.append(tuple(items))
        elif name == "FROZENSET":
            self.stack.append(frozenset(items))
        elif name != "POP_MARK":
            _add(self.stack[-1], items)

    def _make(self, name: str) -> None:
        stack = self.stack
        if name == "MARK":
            stack.append(_MARK)
        elif name == "STACK_GLOBAL":
            _, qualname = self._popped(2, remove=True)
            stack.append(Unread(str(qualname), is_name=True))
        elif name in ("REDUCE", "NEWOBJ"):
            kind, args = self._popped(2, remove=True)
            stack.append(_object(kind, args))
        elif name == "NEWOBJ_EX":
            kind, _, _ = self._popped(3, remove=True)
            stack.append(_object(kind, ()))
        elif name in ("BUILD", "POP"):
            stack.pop()
        elif name == "READONLY_BUFFER":
            return
        else:
            raise ValueError(f"an instruction that this library does not write: {name}")


def _object(kind: Any, args: Any) -> Unread:
    """Return a stand-in for the result of a call: an object, or a class or function by value."""
    name = kind.name if isinstance(kind, Unread) else "object"
    words = [part for part in args if isinstance(part, str)] if isinstance(args, tuple) else []
    kinds = (
        [part.name for part in args if isinstance(part, Unread) and part.is_name]
        if isinstance(args, tuple)
        else []
    )
    if name in ("_make", "_make_from_source") and isinstance(args, tuple):
        # The first argument is an id; the class's name is in one of the tuples after it.
        names = (
            word
            for part in args
            if isinstance(part, tuple)
            for word in part
            if isinstance(word, str)
        )
        return Unread(next(names, "class"), is_name=True)
    if name == "value_of" and isinstance(args, tuple) and args:
        return Unread(f"result {args[0]}")  # Of another call, by its number (`core.needs`).
    if name == "resolve" and len(words) > 1:
        return Unread(words[1], is_name=True)
    if name in ("_make_function", "function"):
        return Unread("function")
    # For helpers such as `_reconstructor(Model, ...)`, the class says more than the helper.
    is_helper = name.startswith("_") or name == "new"
    return Unread(kinds[0] if is_helper and kinds else _MADE_BY.get(name, name.rpartition(".")[2]))


def _add(container: Any, items: list[Any]) -> None:
    if isinstance(container, dict):
        for key, value in zip(items[::2], items[1::2], strict=True):
            container[key if not isinstance(key, list | dict | set) else Unread("key")] = value
    elif isinstance(container, list):
        container.extend(items)
    elif isinstance(container, set):
        container.update(items)
    elif not isinstance(container, Unread):
        raise TypeError("it cannot hold anything")


def _number(raw: bytes, size: int) -> int:
    return int.from_bytes(raw, "little")


def _integer(raw: bytes, size: int) -> Any:
    if size > 100:
        return Unread(f"int of {size:,} bytes")
    return int.from_bytes(raw, "little", signed=True)


def _float(raw: bytes, size: int) -> float:
    value: float = struct.unpack(">d", raw)[0]
    return value


def _string(raw: bytes, size: int) -> str:
    return raw.decode("utf-8", "replace")


def _bytes(raw: bytes, size: int) -> bytes:
    return raw


_VALUES: Final[dict[str, Callable[[bytes, int], Any]]] = {
    "NONE": lambda raw, size: None,
    "NEWTRUE": lambda raw, size: True,
    "NEWFALSE": lambda raw, size: False,
    "BININT": _integer,
    "BININT1": _number,
    "BININT2": _number,
    "LONG1": _integer,
    "LONG4": _integer,
    "BINFLOAT": _float,
    "SHORT_BINUNICODE": _string,
    "BINUNICODE": _string,
    "BINUNICODE8": _string,
    "SHORT_BINBYTES": _bytes,
    "BINBYTES": _bytes,
    "BINBYTES8": _bytes,
    "BYTEARRAY8": lambda raw, size: bytearray(raw),
    "EMPTY_LIST": lambda raw, size: [],
    "EMPTY_DICT": lambda raw, size: {},
    "EMPTY_SET": lambda raw, size: set(),
    "NEXT_BUFFER": lambda raw, size: Unread("buffer"),
}
_TUPLES: Final = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_OF_MARK: Final = frozenset({"TUPLE", "FROZENSET", "POP_MARK", "APPENDS", "SETITEMS", "ADDITEMS"})
_OF_ONE: Final = {"APPEND": 1, "SETITEM": 2}
