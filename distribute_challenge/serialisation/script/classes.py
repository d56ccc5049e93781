"""Classes that travel by value: those of a script or notebook, and those made inside functions.

A class has an id, given by the process that defines it. Every other process makes the class once,
when it first arrives, and then knows it by its id. The class arrives again with every value that
needs it, and is left as it is: a cache on it stays filled. The class in the process that defines it
is never changed.

The id travels with a version: a digest of all that the class consists of. If the script changes its
class between two calls (an attribute, or a global that a method uses), the version changes, and the
new state is set. A class that is defined again, as by a notebook's cell, is another object and has
another id.

A class that cannot be taken apart travels as its statement (`class_source`).

cloudpickle keeps the ids and takes classes apart. This module makes classes and sets their state,
because cloudpickle makes a class again each time, which runs ``__init_subclass__`` and metaclasses,
and sets every attribute again.
"""

import contextlib
import os
import pickle
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum
from typing import Any, Generic, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from cloudpickle import cloudpickle

from distribute_challenge.core.forks import renew_in_children
from distribute_challenge.serialisation.script.class_source import ClassSource
from distribute_challenge.serialisation.watch import Watch

__all__ = ["kept_pickle", "of_version", "reduce_class", "taken_apart"]

T = TypeVar("T")

#: Returns a digest of all that a class consists of.
Digest = Callable[[type], str]

_MOST_KEPT = 256  # A guess: more classes than one script has.


class _Received(NamedTuple):
    """What this process knows of a class that it made from its pickle.

    Args:
        version: The version that it has now; empty until its state has been set.
        names: The attributes that were set.
        namespace: The globals of its methods, if it was made from its statement; else None.
    """

    version: str = ""
    names: frozenset[str] = frozenset()
    namespace: dict[str, Any] | None = None


class KeptPickle(NamedTuple):
    """A class as it travels among the arguments of calls.

    Args:
        reduced: What the pickler needs of it.
        modules: The modules of the user's project that it needs.
    """

    reduced: tuple[Any, ...]
    modules: frozenset[str]


class _Own(NamedTuple):
    """The version of a class that this process defines, valid while the watch sees no change."""

    watch: Watch
    version: str
    pickle: KeptPickle | None = None


class _Latest(Generic[T]):
    """A value for each of the classes used last, for a bounded number of classes.

    It keeps the classes alive.

    Guarantees: any thread may call.
    """

    def __init__(self) -> None:
        self._found: OrderedDict[type, T] = OrderedDict()
        self._lock = threading.Lock()
        renew_in_children(self)

    def renew_locks(self) -> None:
        self._lock = threading.Lock()

    def get(self, cls: type) -> T | None:
        return self._found.get(cls)

    def put(self, cls: type, value: T) -> None:
        dropped = None  # Freed after the lock is released, because freeing may run user code.
        with self._lock:
            self._found[cls] = value
            self._found.move_to_end(cls)
            if len(self._found) > _MOST_KEPT:
                dropped = self._found.popitem(last=False)
        del dropped


_received: "WeakKeyDictionary[type, _Received]" = WeakKeyDictionary()
# A watch holds its class, so this can't be a weak dictionary.
_own: _Latest[_Own] = _Latest()
_sources: "WeakKeyDictionary[type, ClassSource | None]" = WeakKeyDictionary()
# Keeps the received classes that arrived last. Otherwise a class, and all that it caches, would be
# freed with its call.
_kept: _Latest[None] = _Latest()
_version: ContextVar[str] = ContextVar("distribute_challenge_class_version", default="")
# Held while a class statement is executed, as frameworks refuse a second class of the same name.
_executing = threading.RLock()


def reduce_class(cls: type, digest: Digest, *, versioned: bool) -> tuple[Any, ...]:
    """Pickle a class by value; returns what `pickle.Pickler.reducer_override` returns.

    Args:
        cls: The class.
        digest: Pickles it for its version. It raises if the class cannot be taken apart.
        versioned: Whether the version travels along; False while a version is computed.
    """
    version = ""
    if versioned:
        version = _version_of(cls, digest)
    elif cls not in _sources:
        _version_of(cls, digest)  # Finds out whether the class can be taken apart.
    source = _sources.get(cls)
    if source is not None:
        at_once, later = source.variables()
        arguments = _id(cls), tuple(source), at_once
        return _make_from_source, arguments, (version, later), None, None, _set_state
    if issubclass(cls, Enum):
        arguments, (state, _) = cloudpickle._enum_getnewargs(cls), cloudpickle._enum_getstate(cls)
        maker = cloudpickle._make_skeleton_enum
    else:
        arguments, (state, _) = cloudpickle._class_getnewargs(cls), cloudpickle._class_getstate(cls)
        maker = cloudpickle._make_skeleton_class
    state.pop("__slotnames__", None)  # `copyreg` sets it when the first instance is pickled.
    return _make, (_id(cls), maker, arguments[:-2]), (version, state), None, None, _set_state


def kept_pickle(
    cls: type, digest: Digest, dump: Callable[[type], tuple[bytes, frozenset[str]]]
) -> KeptPickle | None:
    """Return a class as it travels among arguments, pickled once as long as it does not change.

    Args:
        cls: The class.
        digest: As for `reduce_class`.
        dump: Pickles it by value, and names the modules of the project that it needs.

    Returns:
        None for a class whose changes would not be seen, or that another process defines.
    """
    version, own = _version_of(cls, digest), _own.get(cls)
    if own is None:
        return None
    if own.pickle is None:
        if not own.watch.sees_all():
            return None
        data, modules = dump(cls)
        own = own._replace(pickle=KeptPickle((_known_or_made, (_id(cls), version, data)), modules))
        _own.put(cls, own)
    return own.pickle


def _known_or_made(id: str, version: str, data: bytes) -> Any:  # noqa: A002
    """Return the class of an id, if this process has it in this version; else unpickle it."""
    found = _made(id)
    if found is not None:
        received = _received.get(found)
        if received is None:
            return found  # This process defines it.
        if received.version == version:
            _kept.put(found, None)
            return found
    return pickle.loads(data)


def taken_apart(cls: type, pickle: Callable[[type], T]) -> T:
    """Pickle a class by its parts or, if that fails, by its statement."""
    _sources.setdefault(cls, None)  # Set first, because the class may refer to itself.
    try:
        return pickle(cls)
    except Exception:
        source = ClassSource.of(cls) if _sources[cls] is None else None
        if source is None:
            raise
    _sources[cls] = source
    return pickle(cls)


@contextmanager
def of_version(version: str) -> Iterator[None]:
    """Give this version to classes that are unpickled without one while this block runs."""
    token = _version.set(version)
    try:
        yield
    finally:
        _version.reset(token)


def _version_of(cls: type, digest: Digest) -> str:
    received = _received.get(cls)
    if received is not None:
        return received.version  # Only the process that defines a class gives it a version.
    own = _own.get(cls)
    if own is not None and own.watch.is_unchanged():
        return own.version
    watch = Watch.over([cls])
    version = taken_apart(cls, digest)
    _own.put(cls, _Own(watch, version))
    return version


def _id(cls: type) -> str:
    return str(cloudpickle._get_or_create_tracker_id(cls))


def _made(id: str) -> type | None:  # noqa: A002
    """Return the class of an id, if this process defines it or has made it."""
    found: type | None = cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.get(id)
    return found


def _make(id: str, maker: Callable[..., type], arguments: tuple[Any, ...]) -> type:  # noqa: A002
    return _made(id) or _register(id, maker(*arguments, None, None), None, None)


def _make_from_source(id: str, source: tuple[Any, ...], variables: Mapping[str, Any]) -> type:  # noqa: A002
    with _executing:
        found = _made(id)
        if found is not None:
            return found
        statement = ClassSource(*source)
        namespace = {"__name__": "__main__", "__file__": statement.code.co_filename, **variables}
        return _register(id, statement.execute(namespace), statement, namespace)


def _register(
    id: str,  # noqa: A002 - cloudpickle's word
    cls: type,
    source: ClassSource | None,
    namespace: dict[str, Any] | None,
) -> type:
    """Remember a class made from its pickle; return the first one if another thread was faster."""
    kept: type = cloudpickle._lookup_class_or_track(id, cls)
    _received.setdefault(kept, _Received(namespace=namespace))
    _sources.setdefault(kept, source)
    return kept


def _set_state(cls: type, state: tuple[str, Mapping[str, Any]]) -> None:
    version, values = state[0] or _version.get(), state[1]
    received = _received.get(cls)
    if received is None:
        return  # This process defines it.
    _kept.put(cls, None)
    if received.version == version:
        return
    _received[cls] = received._replace(version=version, names=frozenset(values))
    if received.namespace is not None:
        received.namespace.update(values)
        return
    for name in received.names - values.keys():
        with contextlib.suppress(AttributeError):
            delattr(cls, name)
    cloudpickle._class_setstate(cls, (values, {}))


def _make_lock_anew() -> None:
    """Replace the lock in a forked child process: a thread that is missing there may hold it."""
    global _executing
    _executing = threading.RLock()


os.register_at_fork(after_in_child=_make_lock_anew)
