"""Takes the tests of a module of another library."""

import importlib
from typing import Any

__all__ = ["taken_from"]


def taken_from(module: str) -> dict[str, Any]:
    """The tests and fixtures of a module, by name."""
    found = vars(importlib.import_module(module))
    return {
        name: value
        for name, value in found.items()
        if name.startswith(("test_", "Test")) or type(value).__name__ == "FixtureFunctionDefinition"
    }
