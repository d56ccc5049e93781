"""Pickle what the modules of the user's project define: by name, or as code with module globals."""

import linecache
import sys
import types
from typing import Any

from cloudpickle import cloudpickle

from distribute_challenge.serialisation.watch import contents_of, global_names

__all__ = ["reduce_project_function", "reference", "resolve"]


def reference(obj: Any) -> tuple[str, str, int] | None:
    """Return where to find a module-level object again; None if its module does not have it.

    Returns:
        The module, the qualified name, and how many decorators lie over the object.
    """
    found: Any = sys.modules[obj.__module__]
    for part in getattr(obj, "__qualname__", "<locals>").split("."):
        found = getattr(found, part, None)
    depth = 0
    while found is not None and found is not obj:
        found, depth = getattr(found, "__wrapped__", None), depth + 1
    return None if found is None else (obj.__module__, obj.__qualname__, depth)


def resolve(module: str, qualname: str, depth: int) -> Any:
    """Return the object of a reference."""
    found: Any = _import(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    for _ in range(depth):
        found = found.__wrapped__
    return found


def reduce_project_function(function: types.FunctionType, module: str) -> tuple[Any, ...]:
    """Pickle a lambda or inner function as its code; its globals are those of its module.

    Args:
        function: The function.
        module: The module whose globals it uses.
    """
    cells = function.__closure__ or ()
    state = {
        "__defaults__": function.__defaults__,
        "__kwdefaults__": function.__kwdefaults__,
        "__annotations__": function.__annotations__,
        "__doc__": function.__doc__,
        "__qualname__": "".join(function.__qualname__),
        "__module__": function.__module__,
        "__dict__": {"".join(name): value for name, value in function.__dict__.items()},
    }
    contents = [contents_of(cell) for cell in cells]
    # New strings: pickle would write shared ones as references, or not, by chance.
    module, name = "".join(module), "".join(function.__name__)
    # The closure is part of the state and not of the arguments, as a recursive inner function
    # refers to itself.
    return (
        _make_function,
        (module, function.__code__, name, None if function.__closure__ is None else len(cells)),
        (state, contents, _set_at_run_time(function), _submodules(function, contents)),
        None,
        None,
        _set_function_state,
    )


def _set_at_run_time(function: types.FunctionType) -> dict[str, Any]:
    """Return globals of a function that its module may lack after an import on the worker.

    Import hooks, such as pytest's for asserts, set globals that do not occur in the source. Other
    globals are modules that some function has imported.
    """
    used = {
        name: function.__globals__[name]
        for name in global_names(function.__code__)
        if name in function.__globals__
    }
    found = {
        "".join(name): value for name, value in used.items() if isinstance(value, types.ModuleType)
    }
    if all(name.isidentifier() and not name.startswith("__") for name in used):
        return found
    source = "".join(linecache.getlines(function.__code__.co_filename, function.__globals__))
    for name, value in used.items():
        if not name.isidentifier() or (source and name not in source):
            found["".join(name)] = value
    return found


def _submodules(
    function: types.FunctionType, contents: list[tuple[Any, ...]]
) -> list[types.ModuleType]:
    """Return modules that a function reaches as attributes of packages, whatever imported them."""
    packages = [
        value
        for name in global_names(function.__code__)
        if (value := function.__globals__.get(name)) is not None
    ]
    packages.extend(content[0] for content in contents if content)
    found: list[types.ModuleType] = cloudpickle._find_imported_submodules(
        function.__code__, packages
    )
    return found


def _import(module: str) -> types.ModuleType:
    __import__(module)
    return sys.modules[module]


def _make_function(
    module: str, code: types.CodeType, name: str, cells: int | None
) -> types.FunctionType:
    closure = None if cells is None else tuple(types.CellType() for _ in range(cells))
    return types.FunctionType(code, vars(_import(module)), name, None, closure)


def _set_function_state(
    function: types.FunctionType,
    state: tuple[dict[str, Any], list[tuple[Any, ...]], dict[str, Any], list[types.ModuleType]],
) -> None:
    attributes, contents, set_at_run_time, _ = state  # Unpickling has imported the last.
    for name, value in set_at_run_time.items():
        function.__globals__.setdefault(name, value)
    for name, value in attributes.items():
        if name == "__dict__":
            function.__dict__.update(value)
        else:
            setattr(function, name, value)
    for cell, content in zip(function.__closure__ or (), contents, strict=True):
        if content:
            cell.cell_contents = content[0]
