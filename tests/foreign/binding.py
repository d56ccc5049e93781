"""Takes the tests of a module of another library, or of CPython."""

import importlib
import os
import sys
from collections.abc import Collection
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

__all__ = ["cpython_tests", "folder_of_tests", "taken_from"]

FOLDERS = [os.environ.get("CPYTHON_TESTS", ""), "/usr/lib/python3.11/test"]


def folder_of_tests(name: str) -> str | None:
    """Where a module of CPython's tests lies beside those of this Python; None if it does not."""
    return next((folder for folder in FOLDERS if Path(folder, f"{name}.py").is_file()), None)


def cpython_tests(name: str) -> ModuleType:
    """A module of CPython's tests; without it, the module that asks for it is skipped.

    It comes from the installed Python, from Debian's package ``libpython3.11-testsuite``, or from
    the folder that the variable ``CPYTHON_TESTS`` names (``Lib/test`` of CPython's sources). Many
    builds of Python lack them.
    """
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the tests of Python 3.11 are bound here", allow_module_level=True)
    tests = pytest.importorskip("test.support", reason="this Python has no package test")
    folder = folder_of_tests(name)
    package = sys.modules[tests.__name__.partition(".")[0]]
    if folder is not None and folder not in package.__path__:
        package.__path__.append(folder)
    try:
        return importlib.import_module(f"test.{name}")
    except ModuleNotFoundError:
        pytest.skip(
            f"this Python lacks test.{name}: install libpython3.11-testsuite, or set CPYTHON_TESTS",
            allow_module_level=True,
        )


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
