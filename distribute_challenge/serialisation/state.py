"""Find out whether a call could change what travels with its function.

A function that carries a list, an object or a cache is loaded anew for each call, as it was when
the call was made. A function that carries no such object is loaded once on each worker process.
Variables of the script and of modules do not count: they live as long as the process, as in any
program.
"""

import dis
import functools
import types
from collections.abc import Iterator
from typing import Any

from distribute_challenge.serialisation.standard_library import CACHED_FUNCTION
from distribute_challenge.serialisation.watch import contents_of, has_address, is_unchangeable

__all__ = ["carries_state"]


def carries_state(function: Any) -> bool:
    """Whether a closure, default, bound object or argument of a partial can change inside.

    Examples:
        >>> carries_state(len), carries_state([].append), carries_state(lambda x, seen=[]: x)
        (False, True, True)
    """
    seen: set[int] = set()
    waiting = [function]
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current, types.FunctionType) and not has_address(current):
            code = current.__code__
            if _rebinds(code, frozenset(code.co_freevars)):
                return True
        parts = _parts(current)
        if parts is not None:
            waiting.extend(parts)
        elif not (isinstance(current, type) or is_unchangeable(current)):
            return True
    return False


@functools.lru_cache(1024)
def _rebinds(code: types.CodeType, names: frozenset[str]) -> bool:
    """Whether code, or a function inside it, assigns to one of these names of an outer function."""
    if any(
        instruction.opname in ("STORE_DEREF", "DELETE_DEREF") and instruction.argval in names
        for instruction in dis.get_instructions(code)
    ):
        return True
    inner = (constant for constant in code.co_consts if isinstance(constant, types.CodeType))
    return any(_rebinds(constant, names.intersection(constant.co_freevars)) for constant in inner)


def _parts(value: Any) -> Iterator[Any] | None:
    """Return what travels with a callable; None for objects that are no known kind of callable."""
    if hasattr(type(value), "__distributable__") or isinstance(value, CACHED_FUNCTION):
        return iter([value.__wrapped__])
    if isinstance(value, types.FunctionType):
        return iter(()) if has_address(value) else _carried(value)
    if isinstance(value, types.MethodType):
        return iter([value.__self__, value.__func__])
    if isinstance(value, functools.partial):
        return iter([value.func, *value.args, *value.keywords.values()])
    return None


def _carried(function: types.FunctionType) -> Iterator[Any]:
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    yield from vars(function).values()
    for cell in function.__closure__ or ():
        yield from contents_of(cell)
