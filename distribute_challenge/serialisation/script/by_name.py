"""Objects of the script that their class pickles by their name: the wrappers that some decorators
make.

No worker finds them in its own ``__main__`` by then, so they travel by their parts.
"""

import copyreg
import functools
from typing import Any

__all__ = ["has_module_of_its_own", "reduce_named_object"]

_CURRY = ("toolz.functoolz", "cytoolz.functoolz")


def has_module_of_its_own(obj: Any) -> bool:
    """Whether an object says itself which module defines it, as functions do, and not only its
    class.
    """
    return "__module__" in getattr(obj, "__dict__", ())


def reduce_named_object(obj: Any, protocol: int) -> Any:
    """How to pickle an object of the script that is no function, but has a name; `NotImplemented`
    if its class knows how to.

    Args:
        obj: The object.
        protocol: As for `object.__reduce_ex__`.
    """
    kind: Any = type(obj)
    if kind.__module__ in _CURRY and kind.__name__ == "curry" and obj.func.__module__ == "__main__":
        return functools.partial(kind, obj.func, *obj.args, **obj.keywords), ()
    # Class methods and the like have the name of their function, and cloudpickle knows how to
    # pickle them.
    is_candidate = (
        has_module_of_its_own(obj)
        and kind.__module__ != "builtins"
        and obj.__module__ == "__main__"
    )
    if is_candidate and isinstance(obj.__reduce_ex__(protocol), str):
        return copyreg.__newobj__, (kind,), object.__getstate__(obj)  # type: ignore[attr-defined]
    return NotImplemented
