"""Pickle wrappers that some decorators make in a script, and that their class pickles by name.

When a call runs, a worker does not find the name in its own ``__main__``, so they travel by their
parts.
"""

import copyreg
import functools
from typing import Any

__all__ = ["has_module_of_its_own", "reduce_named_object"]

_CURRY = ("toolz.functoolz", "cytoolz.functoolz")


def has_module_of_its_own(obj: Any) -> bool:
    """Whether an object itself, and not only its class, says which module defines it.

    Functions do, and so do wrappers.
    """
    return "__module__" in getattr(obj, "__dict__", ())


def reduce_named_object(obj: Any, protocol: int) -> Any:
    """Pickle an object of the script that has a name but is no function, by its parts.

    Args:
        obj: The object.
        protocol: As for `object.__reduce_ex__`.

    Returns:
        As for `pickle.Pickler.reducer_override`: `NotImplemented` if its class can pickle it.
    """
    kind: Any = type(obj)
    if kind.__module__ in _CURRY and kind.__name__ == "curry" and obj.func.__module__ == "__main__":
        return functools.partial(kind, obj.func, *obj.args, **obj.keywords), ()
    # Objects such as class methods have the name of their function, and cloudpickle can pickle
    # them.
    is_candidate = (
        has_module_of_its_own(obj)
        and kind.__module__ != "builtins"
        and obj.__module__ == "__main__"
    )
    if is_candidate and isinstance(obj.__reduce_ex__(protocol), str):
        return copyreg.__newobj__, (kind,), object.__getstate__(obj)  # type: ignore[attr-defined]
    return NotImplemented
