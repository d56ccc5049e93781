"""Objects that consist of other objects alone, which can be compared one by one.

These are lists, dictionaries with plain keys, and objects of the user's own classes that are
pickled as pickle does it by itself: by their attributes.
"""

import copyreg
import types
from collections.abc import Iterator
from typing import Any, NamedTuple

from distribute_challenge.serialisation.modules.locations import is_project_module

__all__ = ["Namespace", "namespace_of"]

_MOST = 32  # A guess: comparing more items takes as long as pickling them.
_KEYS = (type(None), bool, int, str, bytes)
_MADE_FOR_PICKLING = ("__reduce_ex__", "__reduce__", "__getstate__")
_HEAP_TYPE = 1 << 9  # `Py_TPFLAGS_HEAPTYPE`: the class was not written in C, as `object` was.


class Namespace(NamedTuple):
    """The parts of an object.

    Attributes:
        names: The names or numbers of its parts at any moment; their text changes with them.
        holder: Has a method ``get``, which returns a part, or a default if there is none.
    """

    names: Any
    holder: Any


def namespace_of(value: Any) -> Namespace | None:
    """Return the parts of an object; None if it has many, or consists of anything else, too.

    Examples:
        >>> list(namespace_of([len, str]).names)
        [0, 1]
        >>> namespace_of({1: len}).holder.get(1) is len
        True
        >>> namespace_of(open) is None
        True
    """
    if type(value) is list:
        items = _Items(value)
        found = Namespace(items, items)
    elif type(value) is dict:
        found = Namespace(value.keys(), value)
    elif _has_attributes_alone(value):
        attributes = _Attributes(value)
        found = Namespace(attributes, attributes)
    else:
        return None
    is_plain = len(found.names) <= _MOST and all(type(name) in _KEYS for name in list(found.names))
    return found if is_plain else None


def _has_attributes_alone(value: Any) -> bool:
    """Whether an object is of the user's own class, and its pickle is that of its attributes."""
    kind = type(value)
    if not (kind.__module__ == "__main__" or is_project_module(kind.__module__)):
        return False
    return (
        type(getattr(value, "__dict__", None)) is dict
        and all(base is object or _is_without_slots(base) for base in kind.__mro__)
        and all(
            getattr(kind, name, None) is getattr(object, name, None) for name in _MADE_FOR_PICKLING
        )
        and not (hasattr(kind, "__getnewargs__") or hasattr(kind, "__getnewargs_ex__"))
        and kind not in copyreg.dispatch_table
    )


def _is_without_slots(cls: type) -> bool:
    is_python = bool(cls.__flags__ & _HEAP_TYPE)
    return is_python and not any(
        isinstance(each, types.MemberDescriptorType) for each in vars(cls).values()
    )


class _Items:
    """The items of a list."""

    def __init__(self, items: list[Any]) -> None:
        self._items = items

    def get(self, number: int, default: Any) -> Any:
        return self._items[number] if number < len(self._items) else default

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self._items)))

    def __repr__(self) -> str:
        return str(len(self._items))


class _Attributes:
    """The attributes of an object, also if all of them are replaced together."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def get(self, name: str, default: Any) -> Any:
        return self._value.__dict__.get(name, default)

    def __len__(self) -> int:
        return len(self._value.__dict__)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._value.__dict__))

    def __repr__(self) -> str:
        return str(list(self._value.__dict__))
