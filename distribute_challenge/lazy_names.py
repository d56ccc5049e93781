"""Names of a package that are imported when they are first used."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["lazy_names"]


def lazy_names(package: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package, which imports names and submodules as they are used.

    So to import the package costs nothing, and a program loads only what it uses.

    Args:
        package: The package's full name.
        places: The full name of the module of each name.

    Examples:
        >>> find = lazy_names("distribute_challenge.core", {"encode": "json"})
        >>> find("futures")
        <module 'distribute_challenge.core.futures' from ...>
        >>> find("nothing")
        Traceback (most recent call last):
        AttributeError: module 'distribute_challenge.core' has no attribute 'nothing'
    """

    def find(name: str) -> Any:
        if name in places:
            value = getattr(import_module(places[name]), name)
            setattr(sys.modules[package], name, value)
            return value
        try:
            return import_module(f"{package}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{package}.{name}":
                raise
            raise AttributeError(f"module {package!r} has no attribute {name!r}") from None

    return find
