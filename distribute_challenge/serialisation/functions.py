"""A function as it travels: pickled once, again only when something that it uses has changed.

What a function of `__main__` or a notebook uses travels by value, so it must be the value at the time of the
call and not of the first call. Comparing costs less than pickling: as long as everything the function refers to is the
same unchangeable object, the payload stays. A function that captures a list, an array or an object of any
kind is pickled again for every call; its digest tells whether it has to be sent again. Large values that it captures
lie in the depot (`parcels`), so what is pickled again is small.
"""

import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, NamedTuple

from distribute_challenge.messages import FunctionPayload
from distribute_challenge.serialisation.parcels import (
    LARGE_BUFFER,
    Deposited,
    FindDepot,
    Open,
    Parcel,
    pack,
    references_of,
    unpack,
)
from distribute_challenge.serialisation.pickling import dumps, dumps_plain, loads
from distribute_challenge.serialisation.projects import ProjectModule, Sources, is_project_module

if TYPE_CHECKING:
    from distribute_challenge.stores import Depot, Hold

__all__ = ["LoadedFunction", "PortableFunction", "load_function", "load_modules"]

LARGE = 1_000_000  # Bytes; a function above this most likely captures data that should be an argument.

_UNCHANGEABLE = (
    type(None), bool, int, float, complex, str, bytes, range,
    types.ModuleType, types.BuiltinFunctionType, types.BuiltinMethodType,
)  # fmt: skip
_MISSING = object()


class LoadedFunction(NamedTuple):
    """A function on its worker, and the exception classes after which it is to be tried again.

    ``holds_values`` says whether it holds large values that are shared with others.
    """

    function: Callable[..., Any]
    retry_on: tuple[type[BaseException], ...]
    is_async: bool
    holds_values: bool = False


class PortableFunction:
    """Client's end: a function and its current payload.

    Args:
        function: What to call.
        name: Readable name for messages.
        retry_on: Exception classes that travel with it.

    Guarantees: the large values that the current payload refers to stay in their depot as long as this object lives.
    """

    def __init__(self, function: Callable[..., Any], name: str, retry_on: tuple[type[BaseException], ...]) -> None:
        self._function = function
        self._name = name
        self._retry_on = retry_on
        self._extra: frozenset[str] = frozenset()
        self._watch: _Watch | None = None
        self._sources: Sources | None = None
        self._parcel: Parcel | None = None
        self._payload: FunctionPayload | None = None
        self._is_large = False
        self._depot: Depot | None = None
        self._hold: Hold | None = None

    def payload(
        self, modules: frozenset[str] = frozenset(), find_depot: FindDepot | None = None, *, within: float = 0.0
    ) -> FunctionPayload:
        """The payload as of now.

        Args:
            modules: The user's own modules that the call's arguments refer to.
            find_depot: Who keeps the large values that it captures; None: they are part of the payload.
            within: Seconds; source files that were looked at as lately as that are taken to be the same.

        Raises:
            SerialisationError: The function captures something that cannot be pickled.
            SystemFailureError: There is no room for what is large.
        """
        if not modules <= self._extra:
            self._extra |= modules
            self._payload = None
        if self._payload is None or not self._is_fresh(within) or (self._is_large and self._is_elsewhere(find_depot)):
            self._payload = self._make(find_depot)
        return self._payload

    def _is_elsewhere(self, find_depot: FindDepot | None) -> bool:
        """Whether what is large in it lies where this call's cluster does not see it."""
        return (find_depot and find_depot()) is not self._depot

    def _is_fresh(self, within: float) -> bool:
        if self._watch is None or not self._watch.is_unchanged():
            return False
        return self._sources is None or self._sources.is_fresh(within)

    def _make(self, find_depot: FindDepot | None) -> FunctionPayload:
        from hashlib import sha256  # Brings OpenSSL, which an import of this library can do without.

        self._watch = _Watch.over(self._function)
        parcel = self._packed(find_depot)
        names = parcel.modules | self._extra
        if self._sources is None or self._sources.names != names or not self._sources.is_fresh():
            self._sources = Sources(names)
        elif self._payload is not None and parcel == self._parcel:
            return self._payload
        self._parcel = parcel
        payload = _with_modules(self._sources.modules, parcel.data)
        if len(parcel.data) > LARGE:
            self._warn_of_size(len(parcel.data))
        return FunctionPayload(sha256(payload).hexdigest(), payload, self._name, parcel.values)

    def _packed(self, find_depot: FindDepot | None) -> Parcel:
        parcel = pack((self._function, self._retry_on), f"the function {self._name}", find_depot)
        self._is_large = bool(parcel.values) or len(parcel.data) >= LARGE_BUFFER
        self._depot = find_depot() if find_depot is not None and self._is_large else None
        before, self._hold = self._hold, None
        if parcel.values:
            assert self._depot is not None
            # Not one user, but as long as this object lives.
            self._hold = self._depot.hold(parcel.values)
            self._depot.release(parcel.values)
        if before is not None:
            before.close()
        return parcel

    def _warn_of_size(self, size: int) -> None:
        sizes = [(len(dumps(value, name).data), name) for name, value in captured(self._function)]
        largest = max(sizes, default=(0, "its defaults"))[1]
        warnings.warn(
            f"{self._name} carries {size / 1e6:.0f} MB of captured values, the largest is {largest!r}; "
            f"pass it as an argument, or make it on the worker",
            stacklevel=5,
        )


def _with_modules(modules: Sequence[ProjectModule], data: bytes) -> bytes:
    packed = dumps_plain(([tuple(module) for module in modules], data))
    assert packed is not None  # Strings, flags and bytes only.
    return packed


def load_modules(payload: bytes) -> tuple[list[ProjectModule], bytes]:
    """Worker's end, first half: the modules to make importable, and the function's own bytes."""
    modules, data = loads(payload)
    return [ProjectModule(*module) for module in modules], data


def load_function(data: bytes, open: Open | None = None) -> LoadedFunction:  # noqa: A002
    """Worker's end, second half, once its modules can be imported.

    Args:
        data: The function's own bytes.
        open: Gives the large values that it captures; None where they are part of the bytes.
    """
    function, retry_on = unpack(data, open)
    is_async = iscoroutinefunction(function) or iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004
    return LoadedFunction(function, retry_on, is_async, bool(references_of(data)))


def captured(function: Any) -> Iterator[tuple[str, Any]]:
    """Names and values that a function takes along from around it: closure variables and globals."""
    for name, holder, key in _references(function):
        value = holder.get(key, _MISSING)
        if value is not _MISSING:
            yield name, value


class _Watch(NamedTuple):
    """The objects that a function refers to, so as to see when one is replaced.

    ``places`` is None if one of them can change without being replaced.
    """

    places: list[tuple[Any, str, Any]] | None

    @classmethod
    def over(cls, function: Any) -> "_Watch":
        places: list[tuple[Any, str, Any]] = []
        seen: set[int] = set()
        waiting = [function]
        while waiting:
            current = waiting.pop()
            if id(current) in seen:
                continue
            seen.add(id(current))
            if not isinstance(current, types.FunctionType):
                # A built-in function is its name; a partial or an object with `__call__` can change inside.
                return cls([] if _is_unchangeable(current) else None)
            for _, holder, key in _references(current):
                value = holder.get(key, _MISSING)
                places.append((holder, key, value))
                inner = getattr(value, "__wrapped__", value) if hasattr(type(value), "__distributable__") else value
                if isinstance(inner, types.FunctionType) and not _has_address(inner):
                    waiting.append(inner)
                elif not _is_unchangeable(value):
                    return cls(None)
        return cls(places)

    def is_unchanged(self) -> bool:
        if self.places is None:
            return False
        for holder, key, value in self.places:  # noqa: SIM110 - runs for every call, and `all` takes twice as long
            if holder.get(key, _MISSING) is not value:
                return False
        return True


class _Cells:
    """A function's closure, looked up like the dictionary of its globals."""

    def __init__(self, function: types.FunctionType) -> None:
        self._cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))

    def get(self, name: str, default: Any) -> Any:
        try:
            return self._cells[name].cell_contents
        except ValueError:
            return default


class _Defaults:
    """A function's default values, looked up likewise."""

    def __init__(self, function: types.FunctionType) -> None:
        self._function = function

    def get(self, name: str, default: Any) -> Any:
        return (self._function.__kwdefaults__ or {}).get(name, default) if name else self._function.__defaults__


def _references(function: Any) -> Iterator[tuple[str, Any, str]]:
    """Everything that a Python function refers to: a readable name, and where to look it up under which key."""
    if not isinstance(function, types.FunctionType):
        return
    cells = _Cells(function)
    for name in function.__code__.co_freevars:
        yield name, cells, name
    defaults = _Defaults(function)
    for name in ("", *(function.__kwdefaults__ or {})):
        yield name or "its defaults", defaults, name
    if not is_project_module(function.__module__):
        # A project module's globals do not travel, its source does.
        for name in _global_names(function.__code__):
            if name in function.__globals__ or name not in vars(__import__("builtins")):
                yield name, function.__globals__, name


def _global_names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _global_names(constant)


def _has_address(function: types.FunctionType) -> bool:
    """Whether a function of another module is pickled by its name alone."""
    return function.__module__ != "__main__" and "<locals>" not in function.__qualname__


def _is_unchangeable(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_unchangeable, value))
    if isinstance(value, type):
        return value.__module__ != "__main__" and "<locals>" not in value.__qualname__
    if isinstance(value, types.FunctionType | Deposited) or hasattr(type(value), "__distributable__"):
        return True
    return value is _MISSING or isinstance(value, _UNCHANGEABLE)
