"""Pickle objects of the standard library that pickle rejects, but that can be made again.

Caches arrive empty. Objects with an identity and no content (locks, context variables, sentinels)
travel if they are variables of the script: each process has its own object, the same in all calls.
"""

import functools
import sys
import threading
import weakref
from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Any, Final
from uuid import uuid4

__all__ = ["CACHED_FUNCTION", "IDENTITIES", "reduce_cached_function", "reduce_standard"]

CACHED_FUNCTION: Final = type(functools.lru_cache(lambda: None))
_LOCKS: Final = (type(threading.Lock()), type(threading.RLock()))
#: Types of objects that have an identity and no content, beside `object` itself.
IDENTITIES: Final = (*_LOCKS, ContextVar, threading.local)


def reduce_standard(obj: Any, *, weak: bool) -> Any:
    """Pickle an object of the standard library; `NotImplemented` if pickle can do it.

    Args:
        obj: The object.
        weak: Whether weak references to values are pickled. False inside a class, as most likely
            they are its cache of instances.
    """
    kind = type(obj)
    if kind is functools.cached_property:
        return (
            _make_cached_property,
            (),
            (obj.func, obj.attrname, obj.__doc__),
            None,
            None,
            _set_cached_property,
        )
    if kind is weakref.WeakKeyDictionary or (weak and kind is weakref.WeakValueDictionary):
        return kind, (dict(obj),)
    if weak and kind is weakref.ref:
        return (weakref.ref, (obj(),)) if obj() is not None else (_dead_reference, ())
    if kind is object or isinstance(obj, IDENTITIES):
        return _reduce_identity(obj)
    return NotImplemented


def reduce_cached_function(cached: Any) -> tuple[Any, ...]:
    """Pickle a function under `functools.lru_cache` that cannot be found by a name."""
    # The function is state and not an argument, as a recursive one refers to its own cache.
    return _make_cached, (cached.cache_parameters(),), cached.__wrapped__, None, None, _set_cached


class _Later:
    """Takes the place of a cached function while it is unpickled, and calls it from then on."""

    function: Callable[..., Any]

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


def _make_cached(parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(_Later())


def _set_cached(cached: Any, function: Callable[..., Any]) -> None:
    cached.__wrapped__.function = function
    functools.update_wrapper(cached, function)


def _make_cached_property() -> "functools.cached_property[Any]":
    return functools.cached_property(_Later())


def _set_cached_property(made: "functools.cached_property[Any]", state: tuple[Any, ...]) -> None:
    made.func, made.attrname, made.__doc__ = state


def _dead_reference() -> "weakref.ref[Any]":
    return weakref.ref(type("Gone", (), {})())


_identities: dict[int, tuple[Any, str]] = {}
_by_id: dict[str, Any] = {}


def _reduce_identity(obj: Any) -> Any:
    """Pickle a variable of the script without content by an id; a process has one object per id."""
    known = _identities.get(id(obj))
    if known is not None:
        number = known[1]
    elif any(value is obj for value in list(vars(sys.modules["__main__"]).values())):
        number = uuid4().hex
        # Kept for ever, so that no other object gets the same `id`; a script has few of these.
        _identities[id(obj)], _by_id[number] = (obj, number), obj
    else:
        return NotImplemented
    return _identity, (number, *_maker(obj))


def _maker(obj: Any) -> tuple[Any, ...]:
    if isinstance(obj, ContextVar):
        try:
            # In an empty context, a context variable has its default value.
            return _context_variable, obj.name, Context().run(obj.get)
        except LookupError:
            return _context_variable, obj.name
    if type(obj) in _LOCKS:
        return (threading.Lock if type(obj) is _LOCKS[0] else threading.RLock,)
    return (type(obj),)


def _identity(number: str, make: Callable[..., Any], *args: Any) -> Any:
    if number not in _by_id:
        made = _by_id.setdefault(number, make(*args))
        _identities[id(made)] = made, number
    return _by_id[number]


def _context_variable(name: str, *default: Any) -> ContextVar[Any]:
    return ContextVar(name, default=default[0]) if default else ContextVar(name)
