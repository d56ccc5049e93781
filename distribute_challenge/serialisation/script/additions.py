"""Find what a program has put into an installed module: a registry's classes, a patched function.

Only the client finds it there by its name. A worker imports the module without it, so it travels
by value.
"""

import sys
import types
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from typing import Any
from weakref import WeakKeyDictionary

from distribute_challenge.serialisation.modules.project_modules import (
    is_project_file,
    is_project_module,
)

__all__ = ["is_addition"]

_known: "WeakKeyDictionary[Any, bool]" = WeakKeyDictionary()


def is_addition(obj: Any) -> bool:
    """Whether the script or the user's project has put a function or class into its module.

    Args:
        obj: A function or class that an importable module has under its name.
    """
    found = _known.get(obj)
    if found is None:
        found = _known[obj] = (
            _is_foreign(obj, obj.__module__)
            if isinstance(obj, types.FunctionType)
            else _is_foreign_class(obj)
        )
    return found


def _is_foreign(function: types.FunctionType, module: str) -> bool:
    namespace = function.__globals__.get("__name__")
    return namespace != module and (namespace == "__main__" or is_project_module(namespace))


def _is_foreign_class(cls: type) -> bool:
    functions = list(_functions(cls))
    if functions:
        # Its methods tell where the class was written. Some may come from a base or a decorator,
        # so all have to agree.
        return all(_is_foreign(function, cls.__module__) for function in functions)
    module = sys.modules.get(cls.__module__)
    loader = getattr(getattr(module, "__spec__", None), "loader", None)
    if type(loader) is not SourceFileLoader or is_project_file(loader.path):
        return False
    code = loader.get_code(cls.__module__)
    return code is not None and not _mentions(code, cls.__qualname__.partition(".")[0])


def _functions(cls: type) -> Iterator[types.FunctionType]:
    for value in vars(cls).values():
        plain = getattr(value, "__func__", value)
        if isinstance(plain, types.FunctionType):
            yield plain


def _mentions(code: types.CodeType, name: str) -> bool:
    """Whether a module's code may define a name: it has the name, ``import *`` or ``globals``."""
    if (
        name in code.co_names
        or name in code.co_varnames
        or "globals" in code.co_names
        or _imports_all(code)
    ):
        return True
    return any(
        _mentions(constant, name) if isinstance(constant, types.CodeType) else constant == name
        for constant in code.co_consts
    )


def _imports_all(code: types.CodeType) -> bool:
    return ("*",) in code.co_consts
