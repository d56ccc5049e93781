"""Takes the tests of a module of another library."""

import importlib
from collections.abc import Collection
from typing import Any

__all__ = ["taken_from"]


def taken_from(module: str, only: Collection[str] = ()) -> dict[str, Any]:
    """The tests and fixtures of a module, by name.

    Args:
        module: Name of the module.
        only: Names of the tests to take; all if it is empty.
    """
    found = vars(importlib.import_module(module))
    missing = set(only) - set(found)
    assert not missing, f"{module} has no {missing}"
    return {
        name: value
        for name, value in found.items()
        if type(value).__name__ == "FixtureFunctionDefinition"
        or (name in only if only else name.startswith("test_"))
    }
