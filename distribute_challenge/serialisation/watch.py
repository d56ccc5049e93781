"""Watch whether what a function or class refers to is the same as when it was pickled.

A client checks this before each call. Comparing identities takes a fraction of the time of
pickling. It is enough as long as everything that is referred to is unchangeable: numbers, texts,
modules, functions and classes whose own references are watched in turn. Small lists, sets and
dictionaries of numbers and texts, which may be nested, are compared by their text. Of other small
lists and dictionaries, and of objects whose pickle is that of their attributes (`namespaces`), each
item is watched.
"""

import functools
import types
from abc import ABCMeta, get_cache_token
from collections import namedtuple
from collections.abc import Iterable, Iterator, Sequence, Set, Sized
from enum import Enum
from typing import Any, Final, NamedTuple

from distribute_challenge.serialisation.modules.project_modules import is_project_module
from distribute_challenge.serialisation.namespaces import namespace_of
from distribute_challenge.serialisation.standard_library import CACHED_FUNCTION

__all__ = [
    "MISSING",
    "Watch",
    "contents_of",
    "global_names",
    "has_address",
    "is_unchangeable",
    "references",
]

_UNCHANGEABLE = (
    type(None), bool, int, float, complex, str, bytes, range, types.ModuleType, types.CodeType,
    types.GetSetDescriptorType, types.MemberDescriptorType, types.WrapperDescriptorType,
    types.MethodDescriptorType, types.ClassMethodDescriptorType, types.MethodWrapperType,
    types.GenericAlias, types.FunctionType, property, staticmethod, classmethod,
    functools.cached_property, CACHED_FUNCTION,
    type(namedtuple("_", "field").field),  # type: ignore[attr-defined]
)  # fmt: skip
_SCALARS = (type(None), bool, int, float, complex, str, bytes)
_CONTAINERS = (list, set, dict, tuple, frozenset)
_MOST_ITEMS = 32  # A guess: comparing more items takes as long as pickling them.

#: Stands for the value of a variable that is not assigned.
MISSING = object()

# Set once when the class is made: their content is watched under another name or never changes.
_MADE_WITH_A_CLASS = frozenset(
    ["__annotations__", "__dataclass_fields__", "__match_args__", "__parameters__",
     "__orig_bases__", "_member_map_", "_member_names_", "_value2member_map_",
     "_unhashable_values_", "_unhashable_values_map_", "_hashable_values_", "_abc_impl",
     "__abstractmethods__", "__slots__", "__slotnames__", "__static_attributes__",
     "__annotations_cache__"]
)  # fmt: skip
# Modules whose objects never change, or have an identity and no content.
_STATELESS_MODULES = ("dataclasses", "typing", "enum", "_thread", "_contextvars")
# Classes whose objects never change, or are pickled by name. By their names, as most programs have
# not loaded all of these modules.
_UNCHANGEABLE_BY_NAME = frozenset(
    ["datetime.date", "datetime.timedelta", "decimal.Decimal", "fractions.Fraction",
     "logging.Logger", "pathlib.PosixPath", "pathlib.PurePosixPath", "re.Pattern", "uuid.UUID",
     "pathlib._local.PosixPath", "pathlib._local.PurePosixPath"]  # As Python 3.13 names them.
)  # fmt: skip


class Watch(NamedTuple):
    """The objects that functions and classes refer to, to notice when one is replaced.

    Attributes:
        places: The objects that were found, with where to look for them again. None if one of them
            can change without being replaced.
        sizes: Namespaces of classes, with the number of names that each had.
        texts: Small containers, with the text of each.
    """

    places: list[tuple[Any, str, Any]] | None = None
    sizes: Sequence[tuple[Sized, int]] = ()
    texts: Sequence[tuple[Any, str]] = ()

    @classmethod
    def over(cls, roots: Iterable[Any], leave: Set[int] = frozenset()) -> "Watch":
        """Watch functions or classes, and all that they refer to.

        Args:
            roots: The functions and classes to watch. Of any other object, only its own identity is
                watched, and only if it cannot change.
            leave: Ids of functions and classes whose own references are not followed, unless they
                are roots.
        """
        places: list[tuple[Any, str, Any]] = []
        sizes: list[tuple[Sized, int]] = []
        texts: list[tuple[Any, str]] = []
        seen: set[int] = set()
        namespaces = 0
        waiting = list(roots)
        while waiting:
            current = waiting.pop()
            if id(current) in seen:
                continue
            seen.add(id(current))
            if isinstance(current, type) and not has_address(current):
                sizes.append((vars(current), len(vars(current))))
                if isinstance(current, ABCMeta):
                    sizes.append((_registrations, len(_registrations)))
                found = _members(current)
                waiting.extend(
                    base
                    for base in current.__bases__
                    if not (has_address(base) or id(base) in leave)
                )
            elif isinstance(current, types.FunctionType):
                found = references(current)
            elif is_unchangeable(current):
                # A built-in function refers to no other object.
                waiting.extend(part for part in _inside(current) if not has_address(part))
                continue
            else:
                namespace = namespace_of(current)
                namespaces += 1
                if namespace is None or namespaces > _MOST_ITEMS:
                    # A partial can change inside.
                    return cls()
                texts.append((namespace.names, repr(namespace.names)))
                found = ((str(key), namespace.holder, key) for key in list(namespace.names))
                kind = type(current)
                if not (has_address(kind) or id(kind) in leave):
                    waiting.append(kind)
            for _, holder, key in found:
                value = holder.get(key, MISSING)
                places.append((holder, key, value))
                if not (
                    is_unchangeable(value)
                    or isinstance(value, type)
                    or hasattr(type(value), "__distributable__")
                ):
                    if _is_small(value):
                        texts.append((value, repr(value)))
                    else:
                        waiting.append(value)
                        continue
                parts = [
                    part for part in _inside(value) if not (has_address(part) or id(part) in leave)
                ]
                waiting.extend(part for part in parts if not _is_generated(part, current))
        return cls(places, sizes, texts)

    def sees_all(self) -> bool:
        """Whether a pickle made now can be used again as long as nothing has changed.

        A value that was put has to be counted each time that it is pickled.
        """
        return self.places is not None and not any(
            hasattr(type(value), "__deposited__") for _, _, value in self.places
        )

    def is_unchanged(self) -> bool:
        """Whether each place holds what it held; False if something may have changed inside."""
        if self.places is None:
            return False
        # Loops, because this runs for every call and `all` takes twice as long.
        for holder, key, value in self.places:
            if holder.get(key, MISSING) is not value:
                return False
        for names, size in self.sizes:
            if len(names) != size:
                return False
        for container, text in self.texts:  # noqa: SIM110
            if repr(container) != text:
                return False
        return True


def references(function: Any) -> Iterator[tuple[str, Any, str]]:
    """Yield all that a Python function refers to.

    Yields:
        A readable name, and the object and key to look the value up with.
    """
    if not isinstance(function, types.FunctionType):
        return
    cells = _Cells(function)
    for name in function.__code__.co_freevars:
        yield name, cells, name
    defaults = _Defaults(function)
    for name in ("", *(function.__kwdefaults__ or {})):
        yield name or "its defaults", defaults, name
    if not is_project_module(function.__module__):
        # Of a project module, the source travels, and not the globals.
        for name in global_names(function.__code__):
            if name in function.__globals__ or name not in vars(__import__("builtins")):
                yield name, function.__globals__, name


def global_names(code: types.CodeType) -> Iterator[str]:
    """Yield the names that code, and the functions inside it, may look up among its globals."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from global_names(constant)


def has_address(obj: Any) -> bool:
    """Whether a function or class is pickled by its name alone."""
    return obj.__module__ != "__main__" and "<" not in getattr(obj, "__qualname__", "<")


def is_unchangeable(value: Any) -> bool:
    """Whether a value can only be replaced, and never change inside."""
    if isinstance(value, tuple | frozenset):
        return all(map(is_unchangeable, value))
    if isinstance(value, type):
        return has_address(value)
    if isinstance(value, types.BuiltinMethodType):
        return is_unchangeable(value.__self__)
    if isinstance(value, Enum) or hasattr(type(value), "__deposited__"):
        return True
    kind = type(value)
    return (
        kind is object
        or isinstance(value, _UNCHANGEABLE)
        or kind.__module__ in _STATELESS_MODULES
        or f"{kind.__module__}.{kind.__qualname__}" in _UNCHANGEABLE_BY_NAME
    )


def _is_generated(part: Any, owner: Any) -> bool:
    """Whether `dataclasses` wrote a method: the objects that it refers to never change."""
    return (
        hasattr(owner, "__dataclass_fields__")
        and getattr(getattr(part, "__code__", None), "co_filename", "") == "<string>"
    )


def _is_small(value: Any) -> bool:
    """Whether a container has few items, with those of containers inside it."""
    return type(value) in _CONTAINERS and _count(value, _MOST_ITEMS) <= _MOST_ITEMS


def _count(container: Any, most: int) -> int:
    """Count items up to a number; containers of anything but numbers and texts have more."""
    items = (*container, *container.values()) if isinstance(container, dict) else container
    number = 0
    for item in items:
        number += 1
        if number > most:
            break
        if type(item) in _CONTAINERS:
            # A container inside itself reaches the end of the count.
            number += _count(item, most - number)
        elif type(item) not in _SCALARS:
            return most + 1
    return number


def _members(cls: type) -> Iterator[tuple[str, Any, str]]:
    namespace = vars(cls)
    for name in list(namespace):
        if name not in _MADE_WITH_A_CLASS:
            yield name, namespace, name


def _inside(value: Any) -> Iterator[Any]:
    """Yield the functions and classes that a value consists of."""
    if isinstance(value, types.FunctionType | type):
        yield value
        return
    if isinstance(value, property):
        parts = [value.fget, value.fset, value.fdel]
    elif isinstance(value, functools.cached_property):
        parts = [value.func]
    elif isinstance(value, staticmethod | classmethod | CACHED_FUNCTION) or hasattr(
        type(value), "__distributable__"
    ):
        parts = [value.__wrapped__]
    else:
        return
    for part in parts:
        yield from _inside(part)


class _Registrations:
    """Counts, as its length, how often classes were registered with abstract base classes."""

    def __len__(self) -> int:
        # The token is a number, although its documentation calls it opaque.
        return int(get_cache_token())  # type: ignore[call-overload, no-any-return]


_registrations: Final = _Registrations()


def contents_of(cell: types.CellType) -> tuple[Any, ...]:
    """Return the value of a closure variable as a tuple of one; empty if it is not assigned."""
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()


class _Cells:
    """A function's closure, with the `get` of a dictionary, as `Watch.places` needs it."""

    def __init__(self, function: types.FunctionType) -> None:
        self._cells = dict(
            zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        )

    def get(self, name: str, default: Any) -> Any:
        try:
            return self._cells[name].cell_contents
        except ValueError:
            return default


class _Defaults:
    """A function's default values, with the `get` of a dictionary, as `Watch.places` needs it."""

    def __init__(self, function: types.FunctionType) -> None:
        self._function = function

    def get(self, name: str, default: Any) -> Any:
        return (
            (self._function.__kwdefaults__ or {}).get(name, default)
            if name
            else self._function.__defaults__
        )
